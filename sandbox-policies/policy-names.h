// SPDX-License-Identifier: Apache-2.0
// The names a policy may use: constants from the kernel's headers, errnos, and for each system
// call that may be judged by its arguments, how wide the kernel reads each of them.
#pragma once

#include <kj/common.h>
#include <kj/string.h>

#include <cstdint>

namespace bulkhead::policy {

// The value of AF_UNIX, O_CREAT, IOCTL_PRIVCMD_HYPERCALL ...; null for a name not in the table.
kj::Maybe<uint64_t> constantValue(kj::StringPtr name);

// The number of ENOSYS, EACCES ...; null for a name not in the table.
kj::Maybe<uint16_t> errnoValue(kj::StringPtr name);

// The x86-64 number; null where the name is unknown or the architecture has no such call.
kj::Maybe<int> syscallNumber(kj::StringPtr name);

// How the kernel reads one argument.
//
// The kernel takes `int` arguments from the lower half of a register; the upper half may hold
// anything, so comparing it would kill at random. A pointer-sized argument must be compared whole,
// or its upper half would go unchecked.
struct ArgumentWidth {
  // The bits the kernel reads.
  uint64_t mask;

  // Of a pointer a filter sees only the address: all it can judge is whether there is one.
  enum class Kind { number, pointer } kind;
};

// Null: the call is not in the table, or it has fewer arguments.
kj::Maybe<ArgumentWidth> argumentWidth(kj::StringPtr syscall, unsigned argument);

// Whether the call is in the table at all.
bool hasArgumentTable(kj::StringPtr syscall);

}  // namespace bulkhead::policy
