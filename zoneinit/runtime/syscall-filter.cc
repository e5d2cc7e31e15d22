// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/syscall-filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <iterator>

#include "zoneinit/runtime/step.h"

namespace bulkhead::zone {
namespace {

constexpr int kNever = -1;

struct Refusal {
  uint32_t number;
  int opener;  // capability that opens it, or kNever
  int error;
};

constexpr Refusal kRefusals[] = {
    // The kernel's own code.
    {SYS_init_module, CAP_SYS_MODULE, EPERM},
    {SYS_finit_module, CAP_SYS_MODULE, EPERM},
    {SYS_delete_module, CAP_SYS_MODULE, EPERM},
    {SYS_kexec_load, kNever, EPERM},
    {SYS_kexec_file_load, kNever, EPERM},
    {SYS_bpf, CAP_SYS_ADMIN, EPERM},
    {SYS_perf_event_open, CAP_PERFMON, EPERM},
    // The machine.
    {SYS_reboot, CAP_SYS_BOOT, EPERM},
    {SYS_swapon, CAP_SYS_ADMIN, EPERM},
    {SYS_swapoff, CAP_SYS_ADMIN, EPERM},
    {SYS_iopl, CAP_SYS_RAWIO, EPERM},
    {SYS_ioperm, CAP_SYS_RAWIO, EPERM},
    {SYS_settimeofday, CAP_SYS_TIME, EPERM},
    {SYS_clock_settime, CAP_SYS_TIME, EPERM},
    {SYS_adjtimex, CAP_SYS_TIME, EPERM},
    {SYS_acct, CAP_SYS_PACCT, EPERM},
    {SYS_quotactl, CAP_SYS_ADMIN, EPERM},
    {SYS_syslog, CAP_SYSLOG, EPERM},
    // Mounts and namespaces.
    {SYS_mount, CAP_SYS_ADMIN, EPERM},
    {SYS_umount2, CAP_SYS_ADMIN, EPERM},
    {SYS_pivot_root, CAP_SYS_ADMIN, EPERM},
    {SYS_fsopen, CAP_SYS_ADMIN, EPERM},
    {SYS_fsconfig, CAP_SYS_ADMIN, EPERM},
    {SYS_fsmount, CAP_SYS_ADMIN, EPERM},
    {SYS_fspick, CAP_SYS_ADMIN, EPERM},
    {SYS_move_mount, CAP_SYS_ADMIN, EPERM},
    {SYS_open_tree, CAP_SYS_ADMIN, EPERM},
    {SYS_mount_setattr, CAP_SYS_ADMIN, EPERM},
    {SYS_unshare, CAP_SYS_ADMIN, EPERM},
    {SYS_setns, CAP_SYS_ADMIN, EPERM},
    // clone3's flags lie in memory a filter cannot read; ENOSYS sends the C library to clone.
    {SYS_clone3, CAP_SYS_ADMIN, ENOSYS},
    // Handles that know no root.
    {SYS_open_by_handle_at, CAP_DAC_READ_SEARCH, EPERM},
    {SYS_name_to_handle_at, CAP_DAC_READ_SEARCH, EPERM},
    // Keyrings are not per container.
    {SYS_add_key, kNever, EPERM},
    {SYS_request_key, kNever, EPERM},
    {SYS_keyctl, kNever, EPERM},
    // Large parts of the kernel with a history of faults.
    {SYS_userfaultfd, CAP_SYS_PTRACE, EPERM},
    {SYS_io_uring_setup, kNever, ENOSYS},
    {SYS_io_uring_enter, kNever, ENOSYS},
    {SYS_io_uring_register, kNever, ENOSYS},
    {SYS_kcmp, CAP_SYS_PTRACE, EPERM},
    {SYS_lookup_dcookie, CAP_SYS_ADMIN, EPERM},
    {SYS_vhangup, CAP_SYS_TTY_CONFIG, EPERM},
    {SYS_modify_ldt, kNever, ENOSYS},
    {SYS_uselib, kNever, ENOSYS},
    {SYS_ustat, kNever, ENOSYS},
    {SYS_sysfs, kNever, ENOSYS},
    {SYS__sysctl, kNever, ENOSYS},
    {SYS_nfsservctl, kNever, ENOSYS},
};

constexpr uint32_t kNamespaceFlags = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                     CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
constexpr uint32_t kX32 = 0x40000000;  // __X32_SYSCALL_BIT

// Three instructions a refusal at the most, and a fixed part.
class Program {
 public:
  void statement(uint32_t code, uint32_t value) {
    instructions[count++] = BPF_STMT(static_cast<uint16_t>(code), value);
  }
  void jump(uint32_t code, uint32_t value, uint8_t yes, uint8_t no) {
    instructions[count++] = BPF_JUMP(static_cast<uint16_t>(code), value, yes, no);
  }
  void load(size_t offset) { statement(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset)); }
  void refuse(int error) {
    statement(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<uint32_t>(error));
  }
  void allow() { statement(BPF_RET | BPF_K, SECCOMP_RET_ALLOW); }

  sock_fprog finish() { return {static_cast<unsigned short>(count), instructions.data()}; }

 private:
  std::array<sock_filter, 32 + 2 * std::size(kRefusals)> instructions;
  size_t count = 0;
};

}  // namespace

void loadSystemCallFilter(CapabilityMask capabilities) {
  auto has = [&](int number) { return number >= 0 && (capabilities >> number & 1) != 0; };
  Program program;
  program.load(offsetof(seccomp_data, arch));
  program.jump(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
  program.refuse(ENOSYS);
  program.load(offsetof(seccomp_data, nr));
  program.jump(BPF_JMP | BPF_JGE | BPF_K, kX32, 0, 1);
  program.refuse(ENOSYS);
  for (auto& refusal : kRefusals) {
    if (has(refusal.opener)) continue;
    program.jump(BPF_JMP | BPF_JEQ | BPF_K, refusal.number, 0, 1);
    program.refuse(refusal.error);
  }
  if (!has(CAP_SYS_ADMIN)) {
    program.jump(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3);
    program.load(offsetof(seccomp_data, args));  // little-endian: the lower half of the flags
    program.jump(BPF_JMP | BPF_JSET | BPF_K, kNamespaceFlags, 0, 1);
    program.refuse(EPERM);
  }
  program.allow();
  auto finished = program.finish();
  must(Step::systemCallFilter, syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &finished),
       "seccomp");
}

}  // namespace bulkhead::zone
