// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/array.h>
#include <kj/io.h>
#include <kj/string.h>

namespace bulkhead::hvd {

// The bytes of a passed file, unchangeable from here on: mapped when the file is a memfd sealed
// against writing and shrinking, else copied, because whoever can still write or cut the file could
// change a kernel after it was checked, or stop this process by a SIGBUS. Fails with `invalid`,
// `what` as subject, unless it is a regular file of 1 to `limit` bytes.
kj::Array<const kj::byte> stableBytes(const kj::AutoCloseFd& file, kj::StringPtr what,
                                      uint64_t limit);

}  // namespace bulkhead::hvd
