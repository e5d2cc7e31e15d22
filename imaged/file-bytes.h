// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>

#include <kj/array.h>
#include <kj/string.h>

namespace bulkhead {

// Whole reads and writes at a place of a file, by borrowed descriptors. All of it blocks as long as
// the file system does.

uint64_t sizeOf(int fd);

// Fills `bytes` from `offset` on, as far as the file goes. Returns how many there were.
size_t readUpTo(int fd, uint64_t offset, kj::ArrayPtr<kj::byte> bytes);

// Fills all of `bytes`. Throws where the file is shorter.
void readAt(int fd, uint64_t offset, kj::ArrayPtr<kj::byte> bytes);

// All bytes of a plain file, at most `most`. `what` names it in errors. Fails with `invalid` for
// anything else than a plain file, `exhausted`, `corrupt` where it shrinks.
kj::Array<kj::byte> readWholeFile(int fd, size_t most, kj::StringPtr what);

// Writes all of `bytes`. A full disk is `exhausted`.
void writeAt(int fd, uint64_t offset, kj::ArrayPtr<const kj::byte> bytes);

// Copies a part of a file to another place in it; `to` lies before `from`, or behind the part.
void copyWithin(int fd, uint64_t from, uint64_t to, uint64_t length);

}  // namespace bulkhead
