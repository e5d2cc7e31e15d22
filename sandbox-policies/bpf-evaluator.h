// SPDX-License-Identifier: Apache-2.0
// Runs a seccomp filter without the kernel, so that a policy can be tested for calls that no test
// should make.
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <kj/common.h>

#include <cstdint>

namespace bulkhead {

// Returns what `program` answers to a call: a SECCOMP_RET_* action with its data.
//
// Understands the instructions that the kernel admits in seccomp filters. Throws kj::Exception for
// any other, for a jump or a load out of bounds, and for a program that runs off its end: such a
// program the kernel would not load.
uint32_t evaluateFilter(kj::ArrayPtr<const sock_filter> program, const seccomp_data& call);

}  // namespace bulkhead
