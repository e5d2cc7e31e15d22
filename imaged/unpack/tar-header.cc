// SPDX-License-Identifier: Apache-2.0
#include "imaged/unpack/tar-header.h"

#include <string.h>

namespace bulkhead {
namespace {

bool isZero(kj::ArrayPtr<const char> text) {
  for (char c : text) {
    if (c != 0) return false;
  }
  return true;
}

kj::Maybe<int64_t> octal(kj::ArrayPtr<const char> text) {
  size_t i = 0;
  while (i < text.size() && text[i] == ' ') ++i;
  uint64_t value = 0;
  for (; i < text.size() && text[i] >= '0' && text[i] <= '7'; ++i) {
    // At most twelve digits fit into any field: 36 bits.
    value = value << 3 | static_cast<uint64_t>(text[i] - '0');
  }
  for (; i < text.size(); ++i) {
    if (text[i] != ' ' && text[i] != 0) return nullptr;
  }
  return static_cast<int64_t>(value);
}

// GNU: the first bit marks the form, the rest is two's complement, big-endian.
kj::Maybe<int64_t> base256(kj::ArrayPtr<const char> text) {
  bool negative = (static_cast<unsigned char>(text[0]) & 0x40) != 0;
  uint64_t value = negative ? ~uint64_t{0} : 0;
  for (size_t i = 0; i < text.size(); ++i) {
    auto byte = static_cast<unsigned char>(text[i]);
    if (i == 0) byte = negative ? byte : (byte & 0x3f);
    unsigned char lost = static_cast<unsigned char>(value >> 56);
    if (lost != (negative ? 0xff : 0)) return nullptr;
    value = value << 8 | byte;
  }
  if ((value >> 63 != 0) != negative) return nullptr;
  return static_cast<int64_t>(value);
}

}  // namespace

kj::Maybe<TarForm> tarForm(const UstarHeader& header) {
  if (memcmp(header.magic,
             "ustar\0"
             "00",
             8) == 0)
    return TarForm::ustar;
  if (memcmp(header.magic, "ustar  \0", 8) == 0) return TarForm::gnu;
  if (isZero(field(header.magic)) && isZero(field(header.version))) return TarForm::v7;
  return nullptr;
}

bool checksumHolds(const UstarHeader& header) {
  auto bytes = kj::arrayPtr(&header, 1).asBytes();
  size_t begin = offsetof(UstarHeader, checksum);
  int64_t sum = 0;
  for (size_t i = 0; i < kTarBlock; ++i) {
    bool inField = i >= begin && i < begin + sizeof header.checksum;
    sum += inField ? ' ' : bytes[i];
  }
  KJ_IF_MAYBE (stored, tarNumber(field(header.checksum))) {
    return *stored == sum;
  }
  return false;
}

kj::Maybe<int64_t> tarNumber(kj::ArrayPtr<const char> text) {
  if ((static_cast<unsigned char>(text[0]) & 0x80) != 0) return base256(text);
  return octal(text);
}

kj::String tarText(kj::ArrayPtr<const char> text) {
  return kj::heapString(text.begin(), strnlen(text.begin(), text.size()));
}

kj::Maybe<uint64_t> paxNumber(kj::ArrayPtr<const char> text) {
  if (text.size() == 0 || text.size() > 19) return nullptr;
  uint64_t value = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return nullptr;
    value = value * 10 + static_cast<uint64_t>(c - '0');
  }
  if (value >> 63 != 0) return nullptr;
  return value;
}

kj::Maybe<int64_t> paxTime(kj::ArrayPtr<const char> text) {
  bool negative = text.size() > 0 && text[0] == '-';
  if (negative) text = text.slice(1, text.size());
  size_t end = 0;
  while (end < text.size() && text[end] != '.') ++end;
  for (size_t i = end + 1; i < text.size(); ++i) {
    if (text[i] < '0' || text[i] > '9') return nullptr;
  }
  KJ_IF_MAYBE (seconds, paxNumber(text.slice(0, end))) {
    auto value = static_cast<int64_t>(*seconds);
    return negative ? -value : value;
  }
  return nullptr;
}

}  // namespace bulkhead
