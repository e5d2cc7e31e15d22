// SPDX-License-Identifier: Apache-2.0
#include "sandbox-policies/harmless-calls.h"

namespace bulkhead {
namespace {

constexpr uint64_t none = ~uint64_t{0};  // -1: no such descriptor; not an address either

struct Entry {
  kj::StringPtr syscall;
  Arguments arguments;
  Aftermath aftermath = Aftermath::returns;
};

// Fails with EBADF before it looks at anything else, or with EFAULT for its path.
constexpr Arguments badDescriptor{none, 0, 0, 0, 0, 0};
// Fails with EFAULT or EINVAL, or does nothing.
constexpr Arguments nothing{0, 0, 0, 0, 0, 0};

const Entry entries[] = {
    // on a descriptor that does not exist
    {"accept4"_kj, badDescriptor},
    {"bind"_kj, badDescriptor},
    {"close"_kj, badDescriptor},
    {"connect"_kj, badDescriptor},
    {"dup"_kj, badDescriptor},
    {"epoll_ctl"_kj, {none, 0, none, 0, 0, 0}},
    {"epoll_pwait"_kj, {none, 0, 1, 0, 0, 0}},
    {"epoll_wait"_kj, {none, 0, 1, 0, 0, 0}},
    {"fallocate"_kj, badDescriptor},
    {"fchmod"_kj, badDescriptor},
    {"fchown"_kj, badDescriptor},
    {"fcntl"_kj, badDescriptor},
    {"fdatasync"_kj, badDescriptor},
    {"fgetxattr"_kj, badDescriptor},
    {"flock"_kj, badDescriptor},
    {"fstat"_kj, badDescriptor},
    {"fstatfs"_kj, badDescriptor},
    {"fsync"_kj, badDescriptor},
    {"ftruncate"_kj, badDescriptor},
    {"getdents64"_kj, badDescriptor},
    {"getpeername"_kj, badDescriptor},
    {"getsockname"_kj, badDescriptor},
    {"getsockopt"_kj, badDescriptor},
    {"ioctl"_kj, badDescriptor},
    {"listen"_kj, badDescriptor},
    {"lseek"_kj, badDescriptor},
    {"pread64"_kj, badDescriptor},
    {"preadv"_kj, badDescriptor},
    {"preadv2"_kj, badDescriptor},
    {"pwrite64"_kj, badDescriptor},
    {"pwritev"_kj, badDescriptor},
    {"pwritev2"_kj, badDescriptor},
    {"read"_kj, badDescriptor},
    {"readv"_kj, badDescriptor},
    {"recvfrom"_kj, badDescriptor},
    {"recvmmsg"_kj, badDescriptor},
    {"recvmsg"_kj, badDescriptor},
    {"sendfile"_kj, {none, none, 0, 0, 0, 0}},
    {"sendmmsg"_kj, badDescriptor},
    {"sendmsg"_kj, badDescriptor},
    // An address, so that a rule about its length is not met by one that forbids addresses.
    {"sendto"_kj, {none, 0, 0, 0, 1, 0}},
    {"setns"_kj, badDescriptor},
    {"setsockopt"_kj, badDescriptor},
    {"shutdown"_kj, badDescriptor},
    {"splice"_kj, {none, 0, none, 0, 1, 0}},
    {"copy_file_range"_kj, {none, 0, none, 0, 1, 0}},
    {"sync_file_range"_kj, badDescriptor},
    {"syncfs"_kj, badDescriptor},
    {"timerfd_settime"_kj, badDescriptor},
    {"write"_kj, badDescriptor},
    {"writev"_kj, badDescriptor},
    // on a path that is no address
    {"access"_kj, nothing},
    {"faccessat2"_kj, badDescriptor},
    {"fchmodat"_kj, badDescriptor},
    {"linkat"_kj, {none, 0, none, 0, 0, 0}},
    {"lstat"_kj, nothing},
    {"mkdir"_kj, nothing},
    {"mkdirat"_kj, badDescriptor},
    {"newfstatat"_kj, badDescriptor},
    {"open"_kj, nothing},
    {"openat"_kj, badDescriptor},
    {"openat2"_kj, badDescriptor},
    {"readlink"_kj, nothing},
    {"readlinkat"_kj, badDescriptor},
    {"rename"_kj, nothing},
    {"renameat"_kj, {none, 0, none, 0, 0, 0}},
    {"renameat2"_kj, {none, 0, none, 0, 0, 0}},
    {"rmdir"_kj, nothing},
    {"stat"_kj, nothing},
    {"statfs"_kj, nothing},
    {"statx"_kj, badDescriptor},
    {"symlinkat"_kj, badDescriptor},
    {"unlink"_kj, nothing},
    {"unlinkat"_kj, badDescriptor},
    {"utimensat"_kj, badDescriptor},
    // memory: no length, or an address that is not on a page
    {"brk"_kj, nothing},
    {"madvise"_kj, nothing},
    {"memfd_create"_kj, nothing},
    {"mlock"_kj, nothing},
    {"mmap"_kj, {0, 0, 0, 0, none, 0}},
    {"mprotect"_kj, nothing},
    {"mremap"_kj, {1, 0, 0, 0, 0, 0}},
    {"msync"_kj, nothing},
    {"munmap"_kj, {1, 0, 0, 0, 0, 0}},
    // time and waiting: nothing to wait for, or no timespec
    {"clock_getres"_kj, nothing},
    {"clock_gettime"_kj, nothing},
    {"clock_nanosleep"_kj, nothing},
    {"futex"_kj, {1, 0, 0, 0, 0, 0}},
    {"gettimeofday"_kj, nothing},
    {"nanosleep"_kj, nothing},
    {"poll"_kj, nothing},
    // ppoll waits for ever without a timespec: an address that is none fails
    {"ppoll"_kj, {0, 0, none, 0, 0, 0}},
    {"restart_syscall"_kj, nothing},
    {"sched_yield"_kj, nothing},
    {"time"_kj, nothing},
    {"timerfd_create"_kj, nothing},
    // descriptors made
    {"epoll_create1"_kj, nothing},
    {"eventfd2"_kj, nothing},
    {"pipe2"_kj, nothing},
    {"signalfd4"_kj, badDescriptor},
    {"socket"_kj, nothing},
    {"socketpair"_kj, nothing},
    // the process and its threads
    // An address beyond user space as thread pointer: EPERM once everything else is accepted.
    {"clone"_kj, {0, 0, 0, 0, none, 0}},
    {"clone3"_kj, nothing},
    {"exit"_kj, nothing, Aftermath::exits},
    {"exit_group"_kj, nothing, Aftermath::exits},
    {"getegid"_kj, nothing},
    {"geteuid"_kj, nothing},
    {"getgid"_kj, nothing},
    {"getpid"_kj, nothing},
    {"getppid"_kj, nothing},
    {"getrandom"_kj, nothing},
    {"getrusage"_kj, nothing},
    {"gettid"_kj, nothing},
    {"getuid"_kj, nothing},
    {"getcwd"_kj, nothing},
    {"membarrier"_kj, nothing},
    {"prctl"_kj, nothing},
    {"prlimit64"_kj, nothing},
    {"rseq"_kj, nothing},
    {"rt_sigaction"_kj, nothing},
    {"rt_sigprocmask"_kj, nothing},
    // There is no frame to return to.
    {"rt_sigreturn"_kj, nothing, Aftermath::faults},
    {"sched_getaffinity"_kj, nothing},
    {"set_robust_list"_kj, nothing},
    {"sigaltstack"_kj, nothing},
    {"sysinfo"_kj, nothing},
    // A thread that does not exist: ESRCH.
    {"tgkill"_kj, {0x7fffffff, 0x7fffffff, 0, 0, 0, 0}},
    {"umask"_kj, nothing},
    {"uname"_kj, nothing},
};

}  // namespace

kj::Maybe<HarmlessCall> harmlessCall(kj::StringPtr syscall) {
  for (const auto& entry : entries) {
    if (entry.syscall == syscall) return HarmlessCall{entry.arguments, entry.aftermath};
  }
  return nullptr;
}

}  // namespace bulkhead
