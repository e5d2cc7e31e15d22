// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/passed-fds.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <kj/debug.h>
#include <kj/tuple.h>

namespace bulkhead {
namespace {

constexpr int kFirst = 3;  // SD_LISTEN_FDS_START
constexpr int kMost = 64;

kj::Maybe<int> number(const char* name) {
  const char* value = getenv(name);
  if (value == nullptr) return nullptr;
  return kj::StringPtr(value).tryParseAs<int>();
}

}  // namespace

PassedFds PassedFds::receive() {
  PassedFds result;
  int count = number("LISTEN_FDS").orDefault(0);
  bool ours = number("LISTEN_PID").orDefault(getpid()) == getpid();
  kj::String names = kj::str(getenv("LISTEN_FDNAMES") == nullptr ? "" : getenv("LISTEN_FDNAMES"));
  unsetenv("LISTEN_PID");
  unsetenv("LISTEN_FDS");
  unsetenv("LISTEN_FDNAMES");
  if (!ours) return result;
  KJ_REQUIRE(count >= 0 && count <= kMost, "LISTEN_FDS is out of range", count);

  size_t position = 0;
  for (int i = 0; i < count; ++i) {
    size_t end = position;
    while (end < names.size() && names[end] != ':') ++end;
    auto name = kj::str(names.slice(position, end));
    position = kj::min(end + 1, names.size());
    kj::AutoCloseFd fd(kFirst + i);
    KJ_SYSCALL(fcntl(fd, F_SETFD, FD_CLOEXEC), "a passed descriptor is not open", name);
    result.passed.add(kj::tuple(kj::mv(name), kj::mv(fd)));
  }
  return result;
}

kj::AutoCloseFd PassedFds::take(kj::StringPtr name) {
  KJ_IF_MAYBE (fd, takeIfPassed(name)) {
    return kj::mv(*fd);
  }
  KJ_FAIL_REQUIRE("no descriptor of that name was passed: start this through its systemd unit",
                  name);
}

kj::Maybe<kj::AutoCloseFd> PassedFds::takeIfPassed(kj::StringPtr name) {
  for (auto& entry : passed) {
    if (kj::get<0>(entry) == name && kj::get<1>(entry).get() >= 0) {
      return kj::mv(kj::get<1>(entry));
    }
  }
  return nullptr;
}

void PassedFds::expectAllTaken() const {
  for (auto& entry : passed) {
    KJ_REQUIRE(kj::get<1>(entry).get() < 0, "an unexpected descriptor was passed",
               kj::get<0>(entry));
  }
}

}  // namespace bulkhead
