// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/string.h>

namespace bulkhead::zone {

// Fails with `internal` for the system call that has just set errno: what it was done to, and what
// was being done.
[[noreturn]] void failStep(kj::StringPtr subject, kj::StringPtr step);

}  // namespace bulkhead::zone
