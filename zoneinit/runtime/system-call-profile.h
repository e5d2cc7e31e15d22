// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/common.h>

#include "zoneinit/runtime/capabilities.h"
#include "zoneinit/runtime/syscall-filter.h"

namespace bulkhead::zone {

// The filter a profile describes, for a process with these capabilities. A profile is JSON in the
// form of the OCI runtime specification, config-linux.md, "Seccomp", or in the one that container
// engines take, whose rules may be bound to capabilities, architectures and kernel versions.
//
// As the specification's other readers do, passes over names of calls that x86_64 has not, takes
// several conditions on one argument as alternatives, and answers ENOSYS to calls younger than the
// youngest in the profile, unless what has no rule is allowed.
//
// Fails with `invalid`, naming the field, for what is no profile, for rules that contradict each
// other and for more than 256 KiB, 1024 rules, 4096 names, 1024 conditions or 4096 instructions;
// with `unsupported` for what needs a supervisor beside the container: SCMP_ACT_NOTIFY,
// SCMP_ACT_TRACE.
SystemCallFilter customSystemCalls(kj::ArrayPtr<const kj::byte> json, CapabilityMask capabilities);

}  // namespace bulkhead::zone
