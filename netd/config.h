// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "netd/address-book.h"

namespace bulkhead::net {

// /etc/bulkhead/netd.toml; every key is optional:
//
//   ipv4-range = "10.75.0.0/16"        # zones' addresses, at least a /30
//   ipv6-range = "fdd4:1476:6c7e::/48" # at least as large as the IPv4 range
//   mtu = 1500                         # of zones that ask for none: 1280 to 65000
//   nameservers = ["192.0.2.53"]       # told to zones
struct Config {
  AddressRanges ranges;
  uint32_t mtu = 1500;
  kj::Vector<IpAddress> nameservers;

  // What holds without a file.
  static Config defaults();

  // Fails with `invalid`, naming the key, for anything that is not understood: a misspelt key must
  // not pass for a default.
  static Config parse(kj::StringPtr text);

  // The file's content, or the defaults when there is no file.
  static Config load(kj::StringPtr path);
};

constexpr uint32_t kSmallestMtu = 1280;  // RFC 8200, section 5
constexpr uint32_t kLargestMtu = 65000;

}  // namespace bulkhead::net
