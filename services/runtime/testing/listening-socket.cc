// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/testing/listening-socket.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <kj/debug.h>

namespace bulkhead {

kj::AutoCloseFd listenAt(kj::StringPtr path) {
  int raw;
  KJ_SYSCALL(raw = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  kj::AutoCloseFd fd(raw);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  KJ_REQUIRE(path.size() < sizeof address.sun_path, "too long for a socket", path);
  memcpy(address.sun_path, path.begin(), path.size());
  KJ_SYSCALL(bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), path);
  KJ_SYSCALL(listen(fd, 64));
  return fd;
}

}  // namespace bulkhead
