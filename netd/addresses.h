// SPDX-License-Identifier: Apache-2.0
// The three kinds of address netd deals in, as values with one text form each.
#pragma once

#include <kj/array.h>
#include <kj/string.h>

#include <array>
#include <compare>
#include <cstdint>

namespace bulkhead::net {

// An EUI-48.
struct MacAddress {
  std::array<kj::byte, 6> bytes{};

  // Null unless it is six pairs of hexadecimal digits with colons between (RFC 7042).
  static kj::Maybe<MacAddress> parse(kj::StringPtr text);

  // A locally administered unicast address, 02:..., from the kernel's random source.
  static MacAddress random();

  // Neither a group's address nor all zero: what an interface may have as its own.
  bool isInterfaceAddress() const;

  kj::ArrayPtr<const kj::byte> data() const { return kj::arrayPtr(bytes.data(), bytes.size()); }
  kj::String text() const;

  auto operator<=>(const MacAddress&) const = default;
};

// An IPv4 or IPv6 address, without a zone index.
struct IpAddress {
  enum class Family { v4, v6 };

  Family family = Family::v4;
  std::array<kj::byte, 16> bytes{};  // in network order; the first four of them for IPv4

  // Null unless it is an address in the forms inet_pton(3) takes. A prefix length behind a slash is
  // accepted when it is the full one (32 or 128): that is how a single host is written in a plan.
  static kj::Maybe<IpAddress> parse(kj::StringPtr text);

  size_t size() const { return family == Family::v4 ? 4 : 16; }
  unsigned bits() const { return static_cast<unsigned>(size() * 8); }
  kj::ArrayPtr<const kj::byte> data() const { return kj::arrayPtr(bytes.data(), size()); }

  // The form of RFC 5952: "10.75.0.1", "fdd4:1476:6c7e::1".
  kj::String text() const;

  // "10.75.0.1/32".
  kj::String hostText() const { return kj::str(text(), '/', bits()); }

  auto operator<=>(const IpAddress&) const = default;
};

// The link-local address a kernel makes of a MAC (RFC 4291, appendix A).
IpAddress linkLocal(const MacAddress& mac);

// A range of addresses: "10.75.0.0/16".
struct IpRange {
  IpAddress base;  // all bits behind the prefix are zero
  unsigned prefix = 0;

  // Null unless it is an address, a slash and a prefix length, with no bit set behind the prefix.
  static kj::Maybe<IpRange> parse(kj::StringPtr text);

  // The address `number` places behind the base. The caller has checked that it is in the range.
  IpAddress at(uint32_t number) const;

  // How far behind the base an address is; null where it is outside of the range or too far behind.
  kj::Maybe<uint32_t> numberOf(const IpAddress& address) const;

  // The number of the last address: the broadcast address of an IPv4 range. Cut off at 2^32 - 1.
  uint32_t lastNumber() const;

  kj::String text() const { return kj::str(base.text(), '/', prefix); }
};

inline kj::String KJ_STRINGIFY(const MacAddress& mac) { return mac.text(); }
inline kj::String KJ_STRINGIFY(const IpAddress& address) { return address.text(); }
inline kj::String KJ_STRINGIFY(const IpRange& range) { return range.text(); }

}  // namespace bulkhead::net
