// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/common.h>
#include <kj/string.h>

#include "zoneinit/runtime/capabilities.h"
#include "zoneinit/runtime/syscall-filter.h"

namespace bulkhead::zone {

// Calls that are allowed whatever their arguments.
struct SystemCallGroup {
  CapabilityMask capabilities;  // any of them opens the group; none: it is always open
  kj::StringPtr names;          // one space between two
};

// The default profile's table.
kj::ArrayPtr<const SystemCallGroup> systemCallGroups();

// The filter for a process with these capabilities that asks for nothing else: the verdicts that
// images know from other container runtimes. What is not on the list gets EPERM; a call younger
// than the list gets ENOSYS, as does any of an architecture other than x86_64. Takes milliseconds.
SystemCallFilter defaultSystemCalls(CapabilityMask capabilities);

}  // namespace bulkhead::zone
