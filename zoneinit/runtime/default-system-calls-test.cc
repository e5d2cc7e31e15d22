// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/default-system-calls.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/personality.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/socket.h>

#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "sandbox-policies/bpf-evaluator.h"

namespace bulkhead::zone {
namespace {

constexpr CapabilityMask bit(int number) { return CapabilityMask{1} << number; }
constexpr CapabilityMask kAll = bit(kLastCapability + 1) - 1;
constexpr uint32_t kAllow = SECCOMP_RET_ALLOW;
constexpr uint32_t kRefused = SECCOMP_RET_ERRNO | EPERM;
constexpr uint32_t kUnknown = SECCOMP_RET_ERRNO | ENOSYS;

int numberOf(const std::string& name) {
  int number = seccomp_syscall_resolve_name_arch(SCMP_ARCH_X86_64, name.c_str());
  EXPECT_GE(number, 0) << name << " is no call of x86_64";
  return number;
}

std::vector<std::string> words(const char* text) {
  std::istringstream stream(text);
  std::vector<std::string> result;
  for (std::string word; stream >> word;) result.push_back(word);
  return result;
}

class Verdicts {
 public:
  explicit Verdicts(CapabilityMask capabilities) : filter(defaultSystemCalls(capabilities)) {}

  uint32_t of(int number, uint64_t first = 0, uint32_t arch = AUDIT_ARCH_X86_64) const {
    seccomp_data call{};
    call.nr = number;
    call.arch = arch;
    call.args[0] = first;
    return evaluateFilter(filter.program, call);
  }
  uint32_t of(const std::string& name, uint64_t first = 0) const {
    return of(numberOf(name), first);
  }

  const SystemCallFilter filter;
};

void expectAll(const Verdicts& verdicts, const char* names, uint32_t verdict) {
  for (auto& name : words(names)) EXPECT_EQ(verdicts.of(name), verdict) << name;
}

TEST(DefaultSystemCallsTest, NamesCallsThatExistAndEachOnce) {
  std::set<std::string> seen;
  for (auto& group : systemCallGroups()) {
    for (auto& name : words(group.names.cStr())) {
      numberOf(name);
      EXPECT_TRUE(seen.insert(name).second) << name << " is in two groups";
    }
    // What takes the text apart takes one space for the end of a name.
    EXPECT_EQ(strstr(group.names.cStr(), "  "), nullptr) << group.names.cStr();
    EXPECT_FALSE(group.names.endsWith(" ")) << group.names.cStr();
  }
  EXPECT_GT(seen.size(), 330u);
}

TEST(DefaultSystemCallsTest, AllowsWhatProgramsNeed) {
  expectAll(Verdicts(defaultCapabilities()),
            "read write openat openat2 execve mmap mprotect futex futex_waitv clone fork vfork "
            "exit_group epoll_pwait2 io_setup io_submit socket socketpair bind accept4 sendmsg "
            "chroot chown mknod setgroups setresuid capset prctl seccomp landlock_restrict_self "
            "ptrace process_vm_readv memfd_create rseq statx statmount fchmodat2 "
            "map_shadow_stack cachestat mseal getxattrat removexattrat adjtimex modify_ldt "
            "arch_prctl name_to_handle_at uretprobe fanotify_mark pidfd_open semtimedop mq_open",
            kAllow);
}

TEST(DefaultSystemCallsTest, AllowsItEvenWithoutAnyCapability) {
  Verdicts verdicts(0);
  expectAll(verdicts, "read openat execve chown setresuid ptrace mknod", kAllow);
  expectAll(verdicts, "chroot mount bpf reboot", kRefused);
}

TEST(DefaultSystemCallsTest, RefusesTheKernelTheMachineAndTheMounts) {
  expectAll(Verdicts(defaultCapabilities()),
            "mount umount2 pivot_root move_mount open_tree fsopen fsconfig fsmount fspick "
            "mount_setattr unshare setns sethostname setdomainname bpf perf_event_open syslog "
            "init_module finit_module delete_module kexec_load kexec_file_load reboot swapon "
            "swapoff iopl ioperm settimeofday clock_settime acct quotactl quotactl_fd "
            "open_by_handle_at add_key request_key keyctl userfaultfd io_uring_setup "
            "io_uring_enter io_uring_register kcmp pidfd_getfd process_madvise lookup_dcookie "
            "vhangup mbind get_mempolicy set_mempolicy migrate_pages move_pages fanotify_init "
            "ustat sysfs _sysctl uselib nfsservctl lsm_list_modules",
            kRefused);
}

TEST(DefaultSystemCallsTest, SendsTheCLibraryFromClone3ToClone) {
  EXPECT_EQ(Verdicts(defaultCapabilities()).of("clone3"), kUnknown);
  EXPECT_EQ(Verdicts(bit(CAP_SYS_ADMIN)).of("clone3"), kAllow);
}

struct Opening {
  int capability;
  const char* names;
};

constexpr Opening kOpenings[] = {
    {CAP_SYS_ADMIN,
     "mount umount2 move_mount open_tree fsopen fsconfig fsmount fspick mount_setattr unshare "
     "setns "
     "sethostname setdomainname bpf perf_event_open syslog quotactl quotactl_fd lookup_dcookie "
     "fanotify_init lsm_get_self_attr lsm_set_self_attr lsm_list_modules"},
    {CAP_SYS_CHROOT, "chroot"},
    {CAP_DAC_READ_SEARCH, "open_by_handle_at"},
    {CAP_SYS_MODULE, "init_module finit_module delete_module"},
    {CAP_BPF, "bpf"},
    {CAP_PERFMON, "perf_event_open"},
    {CAP_SYSLOG, "syslog"},
    {CAP_SYS_PTRACE, "kcmp pidfd_getfd process_madvise"},
    {CAP_SYS_RAWIO, "iopl ioperm"},
    {CAP_SYS_BOOT, "reboot"},
    {CAP_SYS_PACCT, "acct"},
    {CAP_SYS_TIME, "settimeofday clock_settime"},
    {CAP_SYS_TTY_CONFIG, "vhangup"},
    {CAP_SYS_NICE, "mbind get_mempolicy set_mempolicy set_mempolicy_home_node"},
};

TEST(DefaultSystemCallsTest, OpensWithEachCapabilityWhatItIsForAndNothingElse) {
  Verdicts none(0);
  for (auto& opening : kOpenings) {
    Verdicts with(bit(opening.capability));
    std::set<int> expected;
    for (auto& name : words(opening.names)) expected.insert(numberOf(name));
    if (opening.capability == CAP_SYS_ADMIN) expected.insert(numberOf("clone3"));
    for (int number = 0; number < 512; ++number) {
      bool opened = none.of(number) != kAllow && with.of(number) == kAllow;
      EXPECT_EQ(opened, expected.contains(number))
          << "call " << number << " with capability " << opening.capability;
      EXPECT_TRUE(none.of(number) != kAllow || with.of(number) == kAllow) << number;
    }
  }
}

TEST(DefaultSystemCallsTest, KeepsAFewFromEveryone) {
  expectAll(Verdicts(kAll),
            "pivot_root kexec_load kexec_file_load swapon swapoff add_key request_key keyctl "
            "userfaultfd io_uring_setup io_uring_enter io_uring_register migrate_pages move_pages",
            kRefused);
}

constexpr unsigned kNamespaceFlags[] = {CLONE_NEWNS,   CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
                                        CLONE_NEWUSER, CLONE_NEWPID,    CLONE_NEWNET};

TEST(DefaultSystemCallsTest, KnowsNewNamespacesByTheFlagsOfClone) {
  Verdicts ordinary(defaultCapabilities());
  Verdicts admin(defaultCapabilities() | bit(CAP_SYS_ADMIN));
  EXPECT_EQ(ordinary.of("clone", CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_THREAD | CLONE_SETTLS),
            kAllow);
  EXPECT_EQ(ordinary.of("clone", SIGCHLD), kAllow);
  for (unsigned flag : kNamespaceFlags) {
    EXPECT_EQ(ordinary.of("clone", flag | SIGCHLD), kRefused) << flag;
    // The kernel does not look at the upper half.
    EXPECT_EQ(ordinary.of("clone", flag | uint64_t{1} << 32), kRefused) << flag;
    EXPECT_EQ(admin.of("clone", flag | SIGCHLD), kAllow) << flag;
  }
}

TEST(DefaultSystemCallsTest, RefusesTwoFamiliesOfSocketsToEveryone) {
  for (CapabilityMask capabilities : {defaultCapabilities(), kAll}) {
    Verdicts verdicts(capabilities);
    for (int known : {AF_UNSPEC, AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_CAN, AF_TIPC,
                      AF_BLUETOOTH, AF_CAIF, AF_NFC, AF_KCM, AF_XDP, AF_MCTP}) {
      EXPECT_EQ(verdicts.of("socket", static_cast<uint64_t>(known)), kAllow) << known;
    }
    EXPECT_EQ(verdicts.of("socket", AF_ALG), kRefused);
    EXPECT_EQ(verdicts.of("socket", AF_VSOCK), kRefused);
    EXPECT_EQ(verdicts.of("socket", AF_MCTP + 1), kRefused);
    // For the kernel this is AF_VSOCK.
    EXPECT_EQ(verdicts.of("socket", AF_VSOCK | uint64_t{1} << 32), kRefused);
  }
}

TEST(DefaultSystemCallsTest, AllowsPersonalitiesThatProtectNoLess) {
  Verdicts verdicts(defaultCapabilities());
  for (uint64_t personality : {0u, 0x8u, 0x20000u, 0x20008u, 0xffffffffu}) {
    EXPECT_EQ(verdicts.of("personality", personality), kAllow) << personality;
  }
  for (uint64_t personality :
       {uint64_t{ADDR_NO_RANDOMIZE}, uint64_t{READ_IMPLIES_EXEC}, uint64_t{MMAP_PAGE_ZERO},
        uint64_t{ADDR_NO_RANDOMIZE} | 8, ~uint64_t{0}}) {
    EXPECT_EQ(verdicts.of("personality", personality), kRefused) << personality;
  }
}

TEST(DefaultSystemCallsTest, AnswersToYoungerCallsAsAnOldKernelWould) {
  for (CapabilityMask capabilities : {CapabilityMask{0}, defaultCapabilities(), kAll}) {
    Verdicts verdicts(capabilities);
    int youngest = numberOf("removexattrat");
    EXPECT_EQ(verdicts.of(youngest), kAllow);
    for (int number : {youngest + 1, 500, 1000, 0x3fffffff, -1}) {
      EXPECT_EQ(verdicts.of(number), kUnknown) << number;
    }
    // A hole in the table of x86_64.
    EXPECT_EQ(verdicts.of(400), kRefused);
  }
}

TEST(DefaultSystemCallsTest, KnowsOneArchitecture) {
  Verdicts verdicts(kAll);
  EXPECT_EQ(verdicts.of(0, 0, AUDIT_ARCH_I386), kUnknown);
  EXPECT_EQ(verdicts.of(0, 0, AUDIT_ARCH_AARCH64), kUnknown);
  EXPECT_EQ(verdicts.of(0x40000000), kUnknown);        // x32's read
  EXPECT_EQ(verdicts.of(0x40000000 | 512), kUnknown);  // x32's own rt_sigaction
}

TEST(DefaultSystemCallsTest, FitsIntoTheKernelsLimit) {
  for (CapabilityMask capabilities : {CapabilityMask{0}, defaultCapabilities(), kAll}) {
    EXPECT_LT(defaultSystemCalls(capabilities).program.size(), size_t{BPF_MAXINSNS} / 2);
  }
}

}  // namespace
}  // namespace bulkhead::zone
