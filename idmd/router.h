// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async-io.h>
#include <kj/map.h>
#include <kj/timer.h>

#include "idmd/ring/grant-mapping.h"
#include "schemas/idm.capnp.h"
#include "services/runtime/connection.h"
#include "services/runtime/log.h"
#include "services/runtime/uuid.h"

namespace bulkhead {

// Gives a connection to a fresh link process.
using LinkStarter = kj::Function<kj::Own<Connection>()>;

// Joins zones' rings to link processes. Reads of a ring only the offer, once, in `RingDevices`.
// Services between zones and snooping are not served.
class RouterServer final : public schema::Router::Server {
 public:
  // The references must outlive this object and every link it gave out.
  RouterServer(ring::RingDevices& devices, LinkStarter startLink, kj::Timer& timer, Log& log);
  ~RouterServer() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(RouterServer);

  kj::Promise<void> attach(AttachContext context) override;

 private:
  class Links;
  class LinkForwarder;

  ring::RingDevices& devices;
  LinkStarter startLink;
  kj::Timer& timer;
  Log& log;
  kj::Own<Links> links;
};

}  // namespace bulkhead
