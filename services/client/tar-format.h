// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <kj/array.h>
#include <kj/string.h>

namespace bulkhead {

constexpr uint64_t kTarRecord = 512;

// The header of a plain file of a tar archive (POSIX.1-2017, pax, "ustar Interchange Format"; sizes
// from 8 GiB on in GNU's base 256). A path of more than 100 bytes stands in an extended header in
// front of it ("pax Extended Header"); it has at most 255.
kj::Array<kj::byte> tarHeader(kj::StringPtr path, uint64_t size);

// How many zeros follow a file of that size.
inline uint64_t tarPadding(uint64_t size) { return (kTarRecord - size % kTarRecord) % kTarRecord; }

// What an archive ends with.
kj::Array<kj::byte> tarEnd();

}  // namespace bulkhead
