// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <linux/filter.h>
#include <seccomp.h>
#include <string.h>

#include <kj/array.h>
#include <kj/debug.h>
#include <kj/string.h>

// libseccomp as its two users here have it: its answers checked, its filters in memory. Inline, as
// one of them links it statically and the other one does not.
namespace bulkhead::policy {

inline void checkSeccomp(int result, kj::StringPtr what) {
  KJ_REQUIRE(result == 0, "libseccomp refused", what, strerror(-result));
}

// The filter's instructions.
inline kj::Array<sock_filter> exportFilter(scmp_filter_ctx context) {
  size_t size = 0;
  checkSeccomp(seccomp_export_bpf_mem(context, nullptr, &size), "the size of the program");
  KJ_REQUIRE(size % sizeof(sock_filter) == 0, size);
  auto program = kj::heapArray<sock_filter>(size / sizeof(sock_filter));
  checkSeccomp(seccomp_export_bpf_mem(context, program.begin(), &size), "the program");
  return program;
}

}  // namespace bulkhead::policy
