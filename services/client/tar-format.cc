// SPDX-License-Identifier: Apache-2.0
#include "services/client/tar-format.h"

#include <string.h>

#include <kj/debug.h>

namespace bulkhead {
namespace {

constexpr size_t kName = 0;
constexpr size_t kMode = 100;
constexpr size_t kUser = 108;
constexpr size_t kGroup = 116;
constexpr size_t kSize = 124;
constexpr size_t kTime = 136;
constexpr size_t kChecksum = 148;
constexpr size_t kType = 156;
constexpr size_t kMagic = 257;
constexpr size_t kNameLength = 100;
// With its length and key it fits into one block.
constexpr size_t kMostPath = 255;
constexpr size_t kSizeLength = 12;
constexpr uint64_t kMostOctal = uint64_t{1} << 33;

void octal(kj::ArrayPtr<kj::byte> field, uint64_t value) {
  // The last byte stays NUL.
  for (size_t i = field.size() - 1; i-- > 0; value >>= 3) {
    field[i] = static_cast<kj::byte>('0' + (value & 7));
  }
}

void sizeField(kj::ArrayPtr<kj::byte> field, uint64_t value) {
  if (value < kMostOctal) return octal(field, value);
  field[0] = 0x80;
  for (size_t i = field.size() - 1; i > 0; --i, value >>= 8) {
    field[i] = static_cast<kj::byte>(value & 0xff);
  }
}

// Fills in one block, which is all zeros.
void writeHeader(kj::ArrayPtr<kj::byte> block, kj::StringPtr path, char type, uint64_t size) {
  memcpy(block.slice(kName, kMode).begin(), path.begin(), kj::min(path.size(), kNameLength));
  octal(block.slice(kMode, kUser), 0644);
  octal(block.slice(kUser, kGroup), 0);
  octal(block.slice(kGroup, kSize), 0);
  sizeField(block.slice(kSize, kSize + kSizeLength), size);
  octal(block.slice(kTime, kChecksum), 0);
  block[kType] = static_cast<kj::byte>(type);
  memcpy(block.slice(kMagic, kMagic + 8).begin(),
         "ustar\0"
         "00",
         8);
  memset(block.slice(kChecksum, kType).begin(), ' ', kType - kChecksum);
  uint64_t sum = 0;
  for (auto byte : block) sum += byte;
  octal(block.slice(kChecksum, kChecksum + 7), sum);
}

kj::Array<kj::byte> zeroBlocks(size_t count) {
  auto blocks = kj::heapArray<kj::byte>(count * kTarRecord);
  memset(blocks.begin(), 0, blocks.size());
  return blocks;
}

// "LENGTH path=PATH\n", where the length counts its own digits.
kj::String pathRecord(kj::StringPtr path) {
  auto rest = kj::str(" path=", path, "\n");
  size_t length = rest.size();
  while (length != kj::str(length).size() + rest.size()) ++length;
  return kj::str(length, rest);
}

}  // namespace

kj::Array<kj::byte> tarHeader(kj::StringPtr path, uint64_t size) {
  KJ_REQUIRE(path.size() > 0 && path.size() <= kMostPath, "the path does not fit", path);
  if (path.size() <= kNameLength) {
    auto block = zeroBlocks(1);
    writeHeader(block, path, '0', size);
    return block;
  }
  auto blocks = zeroBlocks(3);
  auto record = pathRecord(path);
  writeHeader(blocks.slice(0, kTarRecord), "PaxHeader", 'x', record.size());
  memcpy(blocks.slice(kTarRecord, 2 * kTarRecord).begin(), record.begin(), record.size());
  writeHeader(blocks.slice(2 * kTarRecord, 3 * kTarRecord), path, '0', size);
  return blocks;
}

kj::Array<kj::byte> tarEnd() { return zeroBlocks(2); }

}  // namespace bulkhead
