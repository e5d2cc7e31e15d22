// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async-unix.h>
#include <kj/string.h>
#include <kj/timer.h>

namespace bulkhead::zone {

// Resolves when a node of that name is in the directory: disks appear when their back end has
// connected. Fails with `notFound` when that has not happened by the deadline.
kj::Promise<void> whenDiskIsThere(kj::UnixEventPort& eventPort, kj::Timer& timer,
                                  kj::StringPtr directory, kj::StringPtr disk,
                                  kj::Duration deadline);

}  // namespace bulkhead::zone
