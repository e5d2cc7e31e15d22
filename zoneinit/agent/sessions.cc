// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/agent/sessions.h"

#include <capnp/rpc-twoparty.h>
#include <kj/debug.h>

namespace bulkhead::zone {
namespace {

// A transport that refuses at once is tried again at this pace.
constexpr kj::Duration kPauseAfterFailure = 1 * kj::SECONDS;

kj::Promise<void> serveSession(kj::Own<kj::AsyncIoStream> stream, const ConnectionLimits& limits,
                               capnp::Capability::Client bootstrap) {
  capnp::TwoPartyVatNetwork network(*stream, capnp::rpc::twoparty::Side::SERVER,
                                    limits.readerOptions());
  auto rpc = capnp::makeRpcServer(network, kj::mv(bootstrap));
  rpc.setFlowLimit(limits.inFlightBytes / sizeof(capnp::word));
  co_await network.onDisconnect();
}

}  // namespace

kj::Promise<void> serveSessions(Transport& transport, kj::Timer& timer, ConnectionLimits limits,
                                capnp::Capability::Client bootstrap, Log& log) {
  for (;;) {
    bool failed = false;
    try {
      auto stream = co_await transport.accept();
      log.info("a session began");
      co_await serveSession(kj::mv(stream), limits, bootstrap);
      log.info("a session ended");
    } catch (...) {
      log.error("a session failed",
                {field("ERROR", kj::getCaughtExceptionAsKj().getDescription())});
      failed = true;
    }
    if (failed) co_await timer.afterDelay(kPauseAfterFailure);
  }
}

}  // namespace bulkhead::zone
