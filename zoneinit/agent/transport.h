// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async-io.h>
#include <kj/async-unix.h>
#include <kj/io.h>

namespace bulkhead::zone {

// Where sessions with dom0 come from. The agent does not know which it is.
class Transport {
 public:
  virtual ~Transport() noexcept(false) {}

  // The next session's stream; to be called again once that session is over.
  virtual kj::Promise<kj::Own<kj::AsyncIoStream>> accept() = 0;
};

// The ring in this zone's memory (idmd/ring).
kj::Own<Transport> ringTransport(kj::UnixEventPort& eventPort, kj::Timer& timer);

// A listening Unix socket in its place, for tests.
kj::Own<Transport> socketTransport(kj::LowLevelAsyncIoProvider& provider, kj::AutoCloseFd listener);

}  // namespace bulkhead::zone
