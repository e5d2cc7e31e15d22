// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <kj/array.h>

namespace bulkhead {

// Writes all of `bytes` at `offset`. A full disk is `exhausted`.
void writeAt(int fd, uint64_t offset, kj::ArrayPtr<const kj::byte> bytes);

}  // namespace bulkhead
