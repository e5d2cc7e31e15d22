// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>

#include <kj/array.h>
#include <kj/string.h>

namespace bulkhead {

constexpr size_t kTarBlock = 512;

// POSIX.1-2017, pax, "ustar Interchange Format": one block.
struct UstarHeader {
  char name[100];
  char mode[8];
  char uid[8];
  char gid[8];
  char size[12];
  char mtime[12];
  char checksum[8];
  char type;
  char linkName[100];
  char magic[6];
  char version[2];
  char userName[32];
  char groupName[32];
  char deviceMajor[8];
  char deviceMinor[8];
  char prefix[155];
  char unused[12];
};
static_assert(sizeof(UstarHeader) == kTarBlock);

enum class TarForm { v7, ustar, gnu };

// None where the magic is of no known form.
kj::Maybe<TarForm> tarForm(const UstarHeader& header);

// Whether the checksum is that of the block, added up as unsigned bytes.
bool checksumHolds(const UstarHeader& header);

// A number in octal digits, or in GNU's base 256. None where it is neither, or out of the range of
// 64 signed bits.
kj::Maybe<int64_t> tarNumber(kj::ArrayPtr<const char> text);

// A header's field as such.
template <size_t size>
kj::ArrayPtr<const char> field(const char (&characters)[size]) {
  return kj::ArrayPtr<const char>(characters, size);
}

// The text up to the first NUL, or the whole field.
kj::String tarText(kj::ArrayPtr<const char> text);

// A pax number: decimal digits without a sign, below 2^63.
kj::Maybe<uint64_t> paxNumber(kj::ArrayPtr<const char> text);

// A pax time: a sign, digits, a fraction that is dropped.
kj::Maybe<int64_t> paxTime(kj::ArrayPtr<const char> text);

}  // namespace bulkhead
