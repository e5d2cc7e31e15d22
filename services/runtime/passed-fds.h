// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/io.h>
#include <kj/map.h>
#include <kj/string.h>

namespace bulkhead {

// The descriptors a process was started with, by name: systemd's protocol (sd_listen_fds(3),
// variables LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES), which `OpenFile=` uses too and which tests
// speak as well.
class PassedFds {
 public:
  // Takes ownership of all passed descriptors, marks them close-on-exec and removes the variables.
  // None passed is not an error here; `take` is where one is missed.
  static PassedFds receive();

  // The descriptor of that name. Throws when it was not passed, or passed twice and taken once.
  kj::AutoCloseFd take(kj::StringPtr name);

  kj::Maybe<kj::AutoCloseFd> takeIfPassed(kj::StringPtr name);

  // Refuses to go on when something was passed that nobody took: an unknown descriptor is
  // authority nobody accounts for.
  void expectAllTaken() const;

 private:
  kj::Vector<kj::Tuple<kj::String, kj::AutoCloseFd>> passed;
};

}  // namespace bulkhead
