// SPDX-License-Identifier: Apache-2.0
// For tests: archives with whatever in them, right or wrong.
#pragma once

#include <cstdint>

#include <kj/array.h>
#include <kj/string.h>
#include <kj/vector.h>

namespace bulkhead::testing {

// Makes ustar archives member by member. Every field can be set wrong on purpose.
class TarBuilder {
 public:
  struct Fields {
    char type = '0';
    kj::StringPtr link = "";
    uint32_t mode = 0644;
    uint32_t user = 0;
    uint32_t group = 0;
    int64_t modified = 1'700'000'000;
    kj::Maybe<uint64_t> size;      // what the header says; otherwise the content's
    kj::StringPtr sizeField = "";  // the field's raw bytes instead
    int checksumError = 0;         // added to the checksum
    uint32_t deviceMajor = 0;
    uint32_t deviceMinor = 0;
    kj::StringPtr magic = "ustar";  // "gnu" and "v7" are the other two
  };

  TarBuilder& add(kj::StringPtr path, kj::StringPtr content, Fields fields);
  TarBuilder& file(kj::StringPtr path, kj::StringPtr content, uint32_t mode = 0644);
  TarBuilder& directory(kj::StringPtr path, uint32_t mode = 0755);
  TarBuilder& symlink(kj::StringPtr path, kj::StringPtr target);
  TarBuilder& hardLink(kj::StringPtr path, kj::StringPtr target);

  // A pax header for the next member: "path=x" gets its length in front.
  TarBuilder& pax(std::initializer_list<kj::StringPtr> records);

  // A pax header with exactly these bytes.
  TarBuilder& rawPax(kj::StringPtr bytes, char type = 'x');

  // GNU's long name ('L') or long link ('K') for the next member.
  TarBuilder& gnuLong(char type, kj::StringPtr name);

  TarBuilder& raw(kj::ArrayPtr<const kj::byte> bytes);

  // The archive with its two zero blocks.
  kj::Array<kj::byte> finish();

  // Without them.
  kj::Array<kj::byte> cutOff();

 private:
  kj::Vector<kj::byte> bytes;
};

kj::Array<kj::byte> gzip(kj::ArrayPtr<const kj::byte> bytes);
kj::Array<kj::byte> zstd(kj::ArrayPtr<const kj::byte> bytes, int windowLog = 0);

}  // namespace bulkhead::testing
