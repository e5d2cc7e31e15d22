// SPDX-License-Identifier: Apache-2.0
#include "imaged/fetch/address-policy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

namespace bulkhead {
namespace {

bool mayConnectTo4(uint32_t address, Loopback loopback) {
  uint32_t first = address >> 24;
  if (first == 0) return false;
  if (first == 127) return loopback == Loopback::allowed;
  if (first >= 224) return false;             // multicast, reserved, broadcast
  if (address >> 16 == 0xa9fe) return false;  // 169.254.0.0/16
  return address != 0x646464c8;               // 100.100.100.200
}

bool mayConnectTo6(const in6_addr& address, Loopback loopback) {
  if (IN6_IS_ADDR_LOOPBACK(&address)) return loopback == Loopback::allowed;
  if (IN6_IS_ADDR_UNSPECIFIED(&address) || IN6_IS_ADDR_MULTICAST(&address)) return false;
  if (IN6_IS_ADDR_LINKLOCAL(&address) || IN6_IS_ADDR_SITELOCAL(&address)) return false;
  auto word = [&](size_t i) {
    uint32_t value;
    memcpy(&value, address.s6_addr + 4 * i, 4);
    return ntohl(value);
  };
  // Addresses that carry an IPv4 one: mapped, compatible, and the NAT64 prefix 64:ff9b::/96.
  if (IN6_IS_ADDR_V4MAPPED(&address) || IN6_IS_ADDR_V4COMPAT(&address) ||
      (word(0) == 0x0064ff9b && word(1) == 0 && word(2) == 0)) {
    return mayConnectTo4(word(3), loopback);
  }
  return !(word(0) == 0xfd000ec2 && word(1) == 0 && word(2) == 0 && word(3) == 0x254);
}

}  // namespace

bool mayConnectTo(const sockaddr* address, Loopback loopback) {
  switch (address->sa_family) {
    case AF_INET: {
      sockaddr_in v4;
      memcpy(&v4, address, sizeof v4);
      return mayConnectTo4(ntohl(v4.sin_addr.s_addr), loopback);
    }
    case AF_INET6: {
      sockaddr_in6 v6;
      memcpy(&v6, address, sizeof v6);
      return mayConnectTo6(v6.sin6_addr, loopback);
    }
    default:
      return false;
  }
}

bool mayAskFor(kj::StringPtr host, Loopback loopback) {
  in_addr v4;
  if (inet_pton(AF_INET, host.cStr(), &v4) == 1) return mayConnectTo4(ntohl(v4.s_addr), loopback);
  in6_addr v6;
  if (inet_pton(AF_INET6, host.cStr(), &v6) == 1) return mayConnectTo6(v6, loopback);
  return true;
}

kj::String describeAddress(const sockaddr* address) {
  char text[INET6_ADDRSTRLEN] = "?";
  if (address->sa_family == AF_INET) {
    sockaddr_in v4;
    memcpy(&v4, address, sizeof v4);
    inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
  } else if (address->sa_family == AF_INET6) {
    sockaddr_in6 v6;
    memcpy(&v6, address, sizeof v6);
    inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
  }
  return kj::str(static_cast<const char*>(text));
}

}  // namespace bulkhead
