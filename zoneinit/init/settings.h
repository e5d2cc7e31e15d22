// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace bulkhead::init {

// Kernel settings of every zone (Documentation/admin-guide/sysctl of the kernel). One the kernel
// does not have is passed over.
void applySettings();

// The out-of-memory killer looks elsewhere.
void protectSelf();

}  // namespace bulkhead::init
