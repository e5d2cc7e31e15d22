// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/uuid.h"

#include <string.h>
#include <sys/random.h>

#include <kj/debug.h>
#include <kj/vector.h>

namespace bulkhead {
namespace {

constexpr kj::StringPtr kDigits = "0123456789abcdef"_kj;

// Whether a dash stands before the byte of this number.
bool dashBefore(size_t index) { return index == 4 || index == 6 || index == 8 || index == 10; }

kj::Maybe<uint> digitValue(char c) {
  if (c >= '0' && c <= '9') return static_cast<uint>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<uint>(c - 'a' + 10);
  if (c >= 'A' && c <= 'F') return static_cast<uint>(c - 'A' + 10);
  return nullptr;
}

}  // namespace

Uuid Uuid::random() {
  Uuid id;
  ssize_t n;
  KJ_SYSCALL(n = getrandom(id.bytes.data(), kSize, 0));
  KJ_ASSERT(n == static_cast<ssize_t>(kSize));
  id.bytes[6] = static_cast<kj::byte>((id.bytes[6] & 0x0f) | 0x40);
  id.bytes[8] = static_cast<kj::byte>((id.bytes[8] & 0x3f) | 0x80);
  return id;
}

kj::Maybe<Uuid> Uuid::from(kj::ArrayPtr<const kj::byte> data) {
  if (data.size() != kSize) return nullptr;
  Uuid id;
  memcpy(id.bytes.data(), data.begin(), kSize);
  return id;
}

kj::Maybe<Uuid> Uuid::parse(kj::StringPtr text) {
  if (text.size() != 36) return nullptr;
  Uuid id;
  size_t at = 0;
  for (size_t i = 0; i < kSize; ++i) {
    if (dashBefore(i) && text[at++] != '-') return nullptr;
    uint value = 0;
    for (int half = 0; half < 2; ++half) {
      KJ_IF_MAYBE (digit, digitValue(text[at++])) {
        value = value << 4 | *digit;
      } else {
        return nullptr;
      }
    }
    id.bytes[i] = static_cast<kj::byte>(value);
  }
  return id;
}

kj::String Uuid::text() const {
  kj::Vector<char> out(37);
  for (size_t i = 0; i < kSize; ++i) {
    if (dashBefore(i)) out.add('-');
    out.add(kDigits[bytes[i] >> 4]);
    out.add(kDigits[bytes[i] & 15]);
  }
  out.add('\0');
  return kj::String(out.releaseAsArray());
}

}  // namespace bulkhead
