// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/string.h>
#include <sys/socket.h>

namespace bulkhead {

enum class Loopback { refused, allowed };

// Whether a registry, or whatever it sends us to, may have this address. Refused are link-local and
// multicast addresses, "any", and the known metadata services of clouds (169.254.169.254,
// fd00:ec2::254, 100.100.100.200), whoever names them; the machine itself unless allowed. Private
// networks are allowed: many registries live there.
bool mayConnectTo(const sockaddr* address, Loopback loopback);

// The same for a URL's host, where that is an address and not a name: what a proxy is asked for is
// resolved there, and not seen here.
bool mayAskFor(kj::StringPtr host, Loopback loopback);

// "192.0.2.1"
kj::String describeAddress(const sockaddr* address);

}  // namespace bulkhead
