// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <linux/openat2.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <cstdint>

// System calls the C library has no function for. Each returns -1 and sets errno, as there.
namespace bulkhead::zone {

inline int openat2(int directory, const char* path, int flags, mode_t mode, uint64_t resolve) {
  open_how how{};
  how.flags = static_cast<uint64_t>(flags);
  how.mode = mode;
  how.resolve = resolve;
  return static_cast<int>(syscall(SYS_openat2, directory, path, &how, sizeof how));
}

inline pid_t clone3(clone_args& arguments) {
  return static_cast<pid_t>(syscall(SYS_clone3, &arguments, sizeof arguments));
}

inline int pivotRoot(const char* newRoot, const char* putOld) {
  return static_cast<int>(syscall(SYS_pivot_root, newRoot, putOld));
}

inline int pidfdSendSignal(int pidfd, int number) {
  return static_cast<int>(syscall(SYS_pidfd_send_signal, pidfd, number, nullptr, 0));
}

}  // namespace bulkhead::zone
