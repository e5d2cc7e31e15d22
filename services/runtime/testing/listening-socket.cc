// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/testing/listening-socket.h"

#include "services/runtime/unix-address.h"

namespace bulkhead {

kj::AutoCloseFd listenAt(kj::StringPtr path) {
  int raw;
  KJ_SYSCALL(raw = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  kj::AutoCloseFd fd(raw);
  auto address = unixAddress(path);
  KJ_SYSCALL(bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), path);
  KJ_SYSCALL(listen(fd, 64));
  return fd;
}

}  // namespace bulkhead
