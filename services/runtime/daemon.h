// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async-io.h>
#include <kj/async-unix.h>

#include "services/runtime/log.h"
#include "services/runtime/notifier.h"

namespace bulkhead {

// What every main() stands on: the event loop, the log, the service manager, and a clean end.
// Made before the sandbox, since it opens what it needs.
class Daemon {
 public:
  explicit Daemon(kj::StringPtr name);
  KJ_DISALLOW_COPY_AND_MOVE(Daemon);

  kj::LowLevelAsyncIoProvider& provider() { return *io.lowLevelProvider; }
  kj::UnixEventPort& eventPort() { return io.unixEventPort; }
  kj::Timer& timer() { return io.provider->getTimer(); }
  kj::WaitScope& waitScope() { return io.waitScope; }
  Log& log() { return logger; }

  // Tells the service manager that the process is ready, then runs until `service` ends or
  // SIGTERM or SIGINT arrives. Returns the exit code: 0 for a requested end or a finished service,
  // 1 when the service failed, which is logged.
  int run(kj::Promise<void> service);

 private:
  kj::String name;
  Log logger;
  Notifier notifier;
  kj::AsyncIoContext io;
};

}  // namespace bulkhead
