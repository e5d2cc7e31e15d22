// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/array.h>
#include <kj/string.h>

#include <array>
#include <cstdint>

#include "services/netlink/netlink-socket.h"

namespace bulkhead::zone {

using MacBytes = std::array<uint8_t, 6>;

// An address of one of the two families, in network order; IPv4 uses the first four bytes.
struct IpBytes {
  uint8_t family;  // AF_INET or AF_INET6
  std::array<uint8_t, 16> bytes;

  size_t size() const;
  bool operator==(const IpBytes&) const = default;
};

// Text to bytes, strictly; nullptr for anything else.
kj::Maybe<MacBytes> parseMac(kj::StringPtr text);
kj::Maybe<IpBytes> parseIp(kj::StringPtr text);

// An address with the length of its network's prefix ("10.75.0.2/32"); without one, all bits.
struct IpPrefix {
  IpBytes address;
  uint8_t length;

  bool operator==(const IpPrefix&) const = default;
};
kj::Maybe<IpPrefix> parsePrefix(kj::StringPtr text);

struct LinkInfo {
  int index;
  kj::String name;
  MacBytes mac;
};

// The few requests of rtnetlink(7) a zone needs. A refusal is an exception that names the request
// and the errno.
class RouteSocket {
 public:
  RouteSocket();

  // Links that have a MAC address.
  kj::Array<LinkInfo> links();

  // MTU 0 leaves it as it is.
  void bringUp(int index, uint32_t mtu);

  kj::Array<IpPrefix> addresses(int index);
  void addAddress(int index, const IpPrefix& address);
  void removeAddress(int index, const IpPrefix& address);

  // A route to the gateway itself over this link, for IPv4, then the default route through it.
  void routeThrough(int index, const IpBytes& gateway);

 private:
  NetlinkSocket socket;

  void request(NetlinkMessage& message, kj::StringPtr what, NetlinkSocket::Receive receive);
  void request(NetlinkMessage& message, kj::StringPtr what);
};

}  // namespace bulkhead::zone
