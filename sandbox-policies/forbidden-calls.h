// SPDX-License-Identifier: Apache-2.0
// The calls that no process of Bulkhead may make unless its own policy file has a line for it, and
// with the line a written reason. A line in a base file does not count.
#pragma once

#include <sys/mman.h>
#include <sys/syscall.h>

#include "sandbox-policies/rule-calls.h"

namespace bulkhead {

struct ForbiddenCall {
  const char* name;
  int number;

  // What the call would do harm with; for most, anything.
  Arguments arguments;
};

inline constexpr ForbiddenCall forbiddenCalls[] = {
    {"bpf", SYS_bpf, {}},
    {"execve", SYS_execve, {}},
    {"execveat", SYS_execveat, {}},
    {"fork", SYS_fork, {}},
    {"init_module", SYS_init_module, {}},
    {"finit_module", SYS_finit_module, {}},
    {"io_uring_setup", SYS_io_uring_setup, {}},
    {"kexec_load", SYS_kexec_load, {}},
    {"keyctl", SYS_keyctl, {}},
    {"mmap with PROT_EXEC", SYS_mmap, {0, 0, PROT_READ | PROT_EXEC, MAP_PRIVATE, 0, 0}},
    {"mmap with PROT_WRITE and PROT_EXEC",
     SYS_mmap,
     {0, 0, PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, 0, 0}},
    {"mount", SYS_mount, {}},
    {"move_mount", SYS_move_mount, {}},
    {"mprotect with PROT_EXEC", SYS_mprotect, {0, 0, PROT_READ | PROT_EXEC, 0, 0, 0}},
    {"open_by_handle_at", SYS_open_by_handle_at, {}},
    {"open_tree", SYS_open_tree, {}},
    {"perf_event_open", SYS_perf_event_open, {}},
    {"pidfd_getfd", SYS_pidfd_getfd, {}},
    {"pivot_root", SYS_pivot_root, {}},
    {"pkey_mprotect", SYS_pkey_mprotect, {}},
    {"process_vm_readv", SYS_process_vm_readv, {}},
    {"process_vm_writev", SYS_process_vm_writev, {}},
    {"ptrace", SYS_ptrace, {}},
    {"seccomp", SYS_seccomp, {}},
    {"setuid", SYS_setuid, {}},
    {"umount2", SYS_umount2, {}},
    {"unshare", SYS_unshare, {}},
    {"userfaultfd", SYS_userfaultfd, {}},
    {"vfork", SYS_vfork, {}},
};

}  // namespace bulkhead
