// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <linux/filter.h>

#include <cstdint>

#include <kj/array.h>
#include <kj/common.h>

namespace bulkhead::zone {

// A program for seccomp(2), and the flags to load it with.
struct SystemCallFilter {
  kj::Array<sock_filter> program;
  uint32_t flags = 0;  // SECCOMP_FILTER_FLAG_*
};

// Loads the filter that this process and what it becomes run under. Needs no heap. no_new_privs
// must be set, or CAP_SYS_ADMIN be effective. Throws StepError.
void loadSystemCallFilter(kj::ArrayPtr<const sock_filter> program, uint32_t flags);

}  // namespace bulkhead::zone
