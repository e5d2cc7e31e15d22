// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async-io.h>

#include "services/runtime/connection.h"
#include "services/runtime/log.h"

namespace bulkhead {

// Link processes. The service manager starts one for each connection; one is kept started ahead of
// its zone, because a zone would have to wait for it otherwise. It holds nothing until a ring is
// handed to it.
class LinkPool {
 public:
  // The references must outlive the pool.
  LinkPool(kj::LowLevelAsyncIoProvider& provider, kj::StringPtr socket, ConnectionLimits limits,
           Log& log)
      : provider(provider), socket(socket), limits(limits), log(log) {}
  KJ_DISALLOW_COPY_AND_MOVE(LinkPool);

  // A process of its own for the caller. The next one is started soon after. Fails with
  // DISCONNECTED when nobody listens at the socket.
  kj::Own<Connection> take();

  // Starts the one that is kept. That it cannot be started now is logged.
  void prepare();

 private:
  kj::LowLevelAsyncIoProvider& provider;
  kj::StringPtr socket;
  ConnectionLimits limits;
  Log& log;
  kj::Own<Connection> spare;
  kj::Promise<void> watcher = nullptr;  // notes when the spare one ends
  kj::Promise<void> refill = nullptr;
  bool broken = false;
};

}  // namespace bulkhead
