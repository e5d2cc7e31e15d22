// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/notifier.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace bulkhead {
namespace {

kj::Maybe<kj::AutoCloseFd> connectManager() {
  const char* path = getenv("NOTIFY_SOCKET");
  if (path == nullptr) return nullptr;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  size_t length = strlen(path);
  if (length == 0 || length >= sizeof address.sun_path) return nullptr;
  memcpy(address.sun_path, path, length);
  if (path[0] == '@') address.sun_path[0] = '\0';  // the abstract namespace
  int raw = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (raw < 0) return nullptr;
  kj::AutoCloseFd fd(raw);
  auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), size) != 0) return nullptr;
  return kj::mv(fd);
}

}  // namespace

Notifier::Notifier() : socket(connectManager()) {
  const char* microseconds = getenv("WATCHDOG_USEC");
  if (microseconds != nullptr) {
    KJ_IF_MAYBE (value, kj::StringPtr(microseconds).tryParseAs<uint64_t>()) {
      if (*value > 0) interval = static_cast<int64_t>(*value) * kj::MICROSECONDS;
    }
  }
  unsetenv("NOTIFY_SOCKET");
  unsetenv("WATCHDOG_USEC");
}

void Notifier::send(kj::StringPtr state) {
  KJ_IF_MAYBE (fd, socket) {
    // A manager that does not read is not a reason to stop serving.
    (void)::send(*fd, state.begin(), state.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  }
}

}  // namespace bulkhead
