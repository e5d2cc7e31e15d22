// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <kj/debug.h>
#include <kj/string.h>

namespace bulkhead {

// The address of a Unix socket at `path`; throws where that is longer than an address can be.
inline sockaddr_un unixAddress(kj::StringPtr path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  KJ_REQUIRE(path.size() < sizeof address.sun_path, "the socket's path is too long", path);
  memcpy(address.sun_path, path.begin(), path.size());
  return address;
}

}  // namespace bulkhead
