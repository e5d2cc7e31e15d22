// SPDX-License-Identifier: Apache-2.0
#include "idmd/link/zone-link.h"

#include <kj/debug.h>

#include "idmd/link/fd-stream.h"
#include "services/runtime/connection.h"
#include "services/runtime/failure.h"
#include "services/runtime/files.h"

namespace bulkhead {

using capnp::rpc::twoparty::Side;

ConnectionLimits zoneLimits() {
  ConnectionLimits limits;
  limits.fdsPerMessage = 0;
  limits.messageBytes = 4u << 20;
  limits.nesting = 16;
  limits.inFlightBytes = 1u << 20;
  return limits;
}

struct ZoneLink::Session {
  kj::Own<ring::RingStream> stream;
  capnp::TwoPartyVatNetwork network;
  capnp::RpcSystem<capnp::rpc::twoparty::VatId> rpc;

  Session(kj::Own<ring::RingStream> streamParam, const ConnectionLimits& limits)
      : stream(kj::mv(streamParam)),
        network(*stream, Side::CLIENT, limits.readerOptions()),
        rpc(capnp::makeRpcClient(network)) {
    rpc.setFlowLimit(limits.inFlightBytes / sizeof(capnp::word));
  }
};

ZoneLink::ZoneLink(kj::Own<ring::RingStream> stream, kj::UnixEventPort& eventPort, Log& log)
    : eventPort(eventPort), log(log), closed(nullptr) {
  auto fresh = kj::heap<Session>(kj::mv(stream), zoneLimits());
  closed = watch(*fresh).fork();
  session = kj::mv(fresh);
}

ZoneLink::~ZoneLink() noexcept(false) {}

kj::Promise<void> ZoneLink::watch(Session& watched) {
  kj::String why;
  try {
    co_await watched.network.onDisconnect().exclusiveJoin(watched.stream->whenWriteDisconnected());
  } catch (...) {
    why = kj::str(kj::getCaughtExceptionAsKj().getDescription());
  }
  if (watched.stream->breach().size() > 0) why = kj::str(watched.stream->breach());
  if (why.size() > 0) {
    log.warning("the zone's ring was closed because of what the zone did", {field("ERROR", why)});
  }
  session = nullptr;
}

kj::Promise<void> ZoneLink::agent(AgentContext context) {
  KJ_IF_MAYBE (open, session) {
    context.getResults().setAgent(bootstrapOf((*open)->rpc).castAs<schema::ZoneAgent>());
    return kj::READY_NOW;
  }
  return KJ_EXCEPTION(DISCONNECTED, "the zone's ring is closed");
}

kj::Promise<void> ZoneLink::whenClosed(WhenClosedContext) { return closed.addBranch(); }

kj::Promise<void> ZoneLink::writer(WriterContext context) {
  auto fd = co_await takeFd(context.getParams().getFile(), "output");
  context.getResults().setStream(makeFdWriter(eventPort, kj::mv(fd)));
}

kj::Promise<void> ZoneLink::pump(PumpContext context) {
  auto into = context.getParams().getInto();
  auto fd = co_await takeFd(context.getParams().getFile(), "input");
  context.releaseParams();
  co_await pumpFd(eventPort, kj::mv(fd), kj::mv(into));
}

}  // namespace bulkhead
