// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/array.h>
#include <kj/hash.h>
#include <kj/string.h>

#include <array>
#include <compare>

namespace bulkhead {

// A UUID (RFC 9562): what names a zone and its domain for ever.
struct Uuid {
  static constexpr size_t kSize = 16;

  std::array<kj::byte, kSize> bytes{};

  // Version 4, from the kernel's random source.
  static Uuid random();

  // Null unless there are exactly 16 bytes.
  static kj::Maybe<Uuid> from(kj::ArrayPtr<const kj::byte> data);

  // Null unless it is the canonical form, 8-4-4-4-12 hexadecimal digits.
  static kj::Maybe<Uuid> parse(kj::StringPtr text);

  kj::ArrayPtr<const kj::byte> data() const { return kj::arrayPtr(bytes.data(), kSize); }

  // The canonical form, in lower case.
  kj::String text() const;

  auto operator<=>(const Uuid&) const = default;
};

inline kj::String KJ_STRINGIFY(const Uuid& id) { return id.text(); }

}  // namespace bulkhead
