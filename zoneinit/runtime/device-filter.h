// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "zoneinit/runtime/settings.h"

namespace bulkhead::zone {

// Attaches a device program to a cgroup: whatever nodes a root in the container makes or finds,
// only null, zero, full, random, urandom, tty, ptmx and pseudo-terminals can be opened through
// them, and the given ones. The disks, the console and the Xen nodes stay out of reach. Throws
// where the kernel refuses.
void attachDeviceFilter(int cgroup, kj::ArrayPtr<const DeviceSpec> devices);

}  // namespace bulkhead::zone
