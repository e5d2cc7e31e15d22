// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "zoneinit/runtime/capabilities.h"

namespace bulkhead::zone {

// Loads the filter every container's process runs under. Refuses with EPERM, or ENOSYS where
// programs know how to go on, what changes the kernel or the machine and what no ordinary program
// needs; other architectures' calls are refused as a whole. A capability that the container was
// given opens the calls it is for. no_new_privs must be set. Throws StepError.
void loadSystemCallFilter(CapabilityMask capabilities);

}  // namespace bulkhead::zone
