// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async-unix.h>
#include <kj/timer.h>

#include "schemas/idm.capnp.h"
#include "services/runtime/log.h"

namespace bulkhead {

// The bootstrap of a link process: takes the two descriptors of one ring, once.
class LinkWorkerServer final : public schema::LinkWorker::Server {
 public:
  LinkWorkerServer(kj::UnixEventPort& eventPort, kj::Timer& timer, Log& log)
      : eventPort(eventPort), timer(timer), log(log) {}

  kj::Promise<void> open(OpenContext context) override;

 private:
  kj::UnixEventPort& eventPort;
  kj::Timer& timer;
  Log& log;
  bool opened = false;
};

}  // namespace bulkhead
