// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/default-system-calls.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/personality.h>
#include <sched.h>
#include <sys/socket.h>

#include "zoneinit/runtime/system-call-program.h"

namespace bulkhead::zone {
namespace {

constexpr CapabilityMask bit(int number) { return CapabilityMask{1} << number; }
constexpr CapabilityMask kAlways = 0;

constexpr SystemCallGroup kGroups[] = {
    // Bytes of what is open already; the right to it was checked when it was opened.
    {kAlways,
     "read readv pread64 preadv preadv2 write writev pwrite64 pwritev pwritev2 lseek close "
     "close_range dup dup2 dup3 fcntl ioctl flock fsync fdatasync sync syncfs sync_file_range "
     "ftruncate fallocate fadvise64 readahead cachestat sendfile copy_file_range splice tee "
     "vmsplice pipe pipe2"_kj},
    // Files by name, in the container's own tree and with its own identity.
    {kAlways,
     "open openat openat2 creat access faccessat faccessat2 stat lstat fstat newfstatat statx "
     "readlink readlinkat getdents getdents64 getcwd chdir fchdir mkdir mkdirat rmdir link linkat "
     "symlink symlinkat unlink unlinkat rename renameat renameat2 truncate umask"_kj},
    // Nodes: what can be done with a device is the device filter's business.
    {kAlways, "mknod mknodat"_kj},
    // Owners, modes, times and extended attributes, each behind the kernel's own checks.
    {kAlways,
     "chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat utime utimes futimesat "
     "utimensat getxattr lgetxattr fgetxattr getxattrat setxattr lsetxattr fsetxattr setxattrat "
     "listxattr llistxattr flistxattr listxattrat removexattr lremovexattr fremovexattr "
     "removexattrat"_kj},
    // Reading the table of mounts, which /proc shows as well. A handle is only a name until
    // open_by_handle_at.
    {kAlways, "statfs fstatfs statmount listmount name_to_handle_at"_kj},
    // Waiting for many things at once, and what to wait for. Marks need a group, which
    // fanotify_init makes.
    {kAlways,
     "poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_wait "
     "epoll_wait_old epoll_pwait epoll_pwait2 eventfd eventfd2 signalfd signalfd4 timerfd_create "
     "timerfd_settime timerfd_gettime inotify_init inotify_init1 inotify_add_watch "
     "inotify_rm_watch fanotify_mark"_kj},
    // Input and output in the background, the old kind. io_uring is left out: its operations pass
    // by every filter.
    {kAlways,
     "io_setup io_destroy io_submit io_cancel io_getevents io_pgetevents ioprio_get ioprio_set"_kj},
    // The process's own memory.
    {kAlways,
     "brk mmap munmap mremap mprotect madvise mincore msync mlock mlock2 mlockall munlock "
     "munlockall remap_file_pages memfd_create memfd_secret mseal membarrier map_shadow_stack "
     "pkey_alloc pkey_free pkey_mprotect process_mrelease"_kj},
    // Processes and threads; clone is below, by its flags.
    {kAlways,
     "fork vfork execve execveat exit exit_group wait4 waitid getpid getppid gettid getpgid "
     "setpgid getpgrp getsid setsid set_tid_address pidfd_open pidfd_send_signal restart_syscall "
     "prctl arch_prctl modify_ldt get_thread_area set_thread_area"_kj},
    // Since 4.8 a tracer cannot steer its tracee past a filter, and it reaches no process with
    // more rights than its own.
    {kAlways, "ptrace process_vm_readv process_vm_writev"_kj},
    // What threads agree by, and what the C library sets up for each.
    {kAlways,
     "futex futex_wait futex_wake futex_requeue futex_waitv get_robust_list set_robust_list rseq "
     "uretprobe"_kj},
    // Who the process is. Becoming somebody else needs the capability for it.
    {kAlways,
     "getuid geteuid getgid getegid getresuid getresgid getgroups setuid setgid setreuid setregid "
     "setresuid setresgid setfsuid setfsgid setgroups capget capset"_kj},
    // Signals.
    {kAlways,
     "kill tkill tgkill pause alarm rt_sigaction rt_sigprocmask rt_sigpending rt_sigsuspend "
     "rt_sigtimedwait rt_sigqueueinfo rt_tgsigqueueinfo rt_sigreturn sigaltstack"_kj},
    // Clocks: to read and to wait for. The two that adjust also read, and check the capability
    // themselves where they change something.
    {kAlways,
     "time times gettimeofday clock_gettime clock_getres clock_nanosleep nanosleep clock_adjtime "
     "adjtimex getitimer setitimer timer_create timer_delete timer_settime timer_gettime "
     "timer_getoverrun"_kj},
    // Turns on the processor, and limits.
    {kAlways,
     "sched_yield sched_getaffinity sched_setaffinity sched_getparam sched_setparam "
     "sched_getscheduler sched_setscheduler sched_getattr sched_setattr sched_get_priority_max "
     "sched_get_priority_min sched_rr_get_interval getpriority setpriority getcpu getrlimit "
     "setrlimit prlimit64 getrusage"_kj},
    // Facts about the zone's kernel, and its random numbers.
    {kAlways, "uname sysinfo getrandom"_kj},
    // Sockets once made; socket itself is below, by its family.
    {kAlways,
     "socketpair bind connect listen accept accept4 getsockname getpeername getsockopt setsockopt "
     "shutdown sendto sendmsg sendmmsg recvfrom recvmsg recvmmsg"_kj},
    // System V and POSIX objects, which live in the container's own IPC namespace.
    {kAlways,
     "msgget msgctl msgsnd msgrcv semget semctl semop semtimedop shmget shmctl shmat shmdt mq_open "
     "mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr"_kj},
    // Programs that lock themselves in further.
    {kAlways, "seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self"_kj},

    // Namespaces and mounts make another root than the one that was given. The others are for who
    // administers a system.
    {bit(CAP_SYS_ADMIN),
     "clone clone3 unshare setns mount mount_setattr move_mount open_tree fsopen fsconfig fsmount "
     "fspick umount2 sethostname setdomainname fanotify_init quotactl quotactl_fd lookup_dcookie "
     "lsm_get_self_attr lsm_set_self_attr lsm_list_modules"_kj},
    {bit(CAP_SYS_CHROOT), "chroot"_kj},
    // A handle can name what lies outside the root.
    {bit(CAP_DAC_READ_SEARCH), "open_by_handle_at"_kj},
    // Code in the kernel, its events and its log: each has a capability of its own by now.
    {bit(CAP_SYS_MODULE), "init_module finit_module delete_module"_kj},
    {bit(CAP_SYS_ADMIN) | bit(CAP_BPF), "bpf"_kj},
    {bit(CAP_SYS_ADMIN) | bit(CAP_PERFMON), "perf_event_open"_kj},
    {bit(CAP_SYS_ADMIN) | bit(CAP_SYSLOG), "syslog"_kj},
    // Into other processes, further than a tracer gets.
    {bit(CAP_SYS_PTRACE), "kcmp pidfd_getfd process_madvise"_kj},
    // The machine: its ports, its power, its clock, its terminals, where its memory lies.
    {bit(CAP_SYS_RAWIO), "iopl ioperm"_kj},
    {bit(CAP_SYS_BOOT), "reboot"_kj},
    {bit(CAP_SYS_PACCT), "acct"_kj},
    {bit(CAP_SYS_TIME), "settimeofday clock_settime"_kj},
    {bit(CAP_SYS_TTY_CONFIG), "vhangup"_kj},
    {bit(CAP_SYS_NICE), "mbind get_mempolicy set_mempolicy set_mempolicy_home_node"_kj},
};

constexpr uint64_t kNamespaceFlags = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                     CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

// Every family below AF_ALG and these above. Out are AF_VSOCK, which reaches the hypervisor's side
// whatever network namespace it is made in, and AF_ALG, a large part of the kernel for what
// libraries do better. A list of what is in rather than out, since the kernel looks at 32 bits of
// the family and a filter at 64.
constexpr int kFamiliesAbove[] = {AF_NFC, AF_KCM, AF_QIPCRTR, AF_SMC, AF_XDP, AF_MCTP};

// What setarch(8) sets to look like an older machine; the others switch protections off. The last
// one only asks.
constexpr uint64_t kLinux32 = PER_LINUX32;
constexpr uint64_t kPersonalities[] = {PER_LINUX, kLinux32, UNAME26, kLinux32 | UNAME26,
                                       0xffffffff};

void allowIf(SystemCallProgram& program, kj::StringPtr name, scmp_arg_cmp condition) {
  program.add(SCMP_ACT_ALLOW, name, kj::arrayPtr(&condition, 1));
}

void allowGroup(SystemCallProgram& program, kj::StringPtr names) {
  while (true) {
    KJ_IF_MAYBE (space, names.findFirst(' ')) {
      program.add(SCMP_ACT_ALLOW, kj::heapString(names.slice(0, *space)));
      names = names.slice(*space + 1);
    } else {
      program.add(SCMP_ACT_ALLOW, names);
      return;
    }
  }
}

}  // namespace

kj::ArrayPtr<const SystemCallGroup> systemCallGroups() { return kGroups; }

SystemCallFilter defaultSystemCalls(CapabilityMask capabilities) {
  SystemCallProgram program(SCMP_ACT_ERRNO(EPERM));
  for (auto& group : kGroups) {
    bool open = group.capabilities == kAlways || (group.capabilities & capabilities) != 0;
    if (open) allowGroup(program, group.names);
  }
  if ((capabilities & bit(CAP_SYS_ADMIN)) == 0) {
    allowIf(program, "clone", {0, SCMP_CMP_MASKED_EQ, kNamespaceFlags, 0});
    // clone3's flags lie in memory a filter cannot read; ENOSYS sends the C library to clone.
    program.add(SCMP_ACT_ERRNO(ENOSYS), "clone3");
  }
  allowIf(program, "socket", {0, SCMP_CMP_LT, AF_ALG, 0});
  for (int family : kFamiliesAbove) {
    allowIf(program, "socket", {0, SCMP_CMP_EQ, static_cast<uint64_t>(family), 0});
  }
  for (uint64_t personality : kPersonalities) {
    allowIf(program, "personality", {0, SCMP_CMP_EQ, personality, 0});
  }
  return {program.finish(), 0};
}

}  // namespace bulkhead::zone
