// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <kj/array.h>

namespace bulkhead {

// Fills `bytes` from `offset` of a file. Throws where the file is shorter.
void readAt(int fd, uint64_t offset, kj::ArrayPtr<kj::byte> bytes);

}  // namespace bulkhead
