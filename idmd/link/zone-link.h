// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <capnp/rpc-twoparty.h>
#include <kj/async-unix.h>

#include "idmd/ring/ring-stream.h"
#include "schemas/idm.capnp.h"
#include "services/runtime/limits.h"
#include "services/runtime/log.h"

namespace bulkhead {

// What a zone may cost its link process.
ConnectionLimits zoneLimits();

// The conversation with one zone's agent, and what dom0 gets of it. The ring is given up as soon as
// either side has ended it, so that a dead zone's memory is free then.
class ZoneLink final : public schema::Link::Server {
 public:
  ZoneLink(kj::Own<ring::RingStream> stream, kj::UnixEventPort& eventPort, Log& log);
  ~ZoneLink() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(ZoneLink);

  kj::Promise<void> agent(AgentContext context) override;
  kj::Promise<void> whenClosed(WhenClosedContext context) override;
  kj::Promise<void> writer(WriterContext context) override;
  kj::Promise<void> pump(PumpContext context) override;

 private:
  struct Session;

  kj::UnixEventPort& eventPort;
  Log& log;
  kj::Maybe<kj::Own<Session>> session;
  kj::ForkedPromise<void> closed;

  kj::Promise<void> watch(Session& watched);
};

}  // namespace bulkhead
