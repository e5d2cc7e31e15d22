// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <capnp/rpc-twoparty.h>
#include <kj/async-io.h>
#include <kj/debug.h>

#include "services/runtime/edges.h"
#include "services/runtime/limits.h"

namespace bulkhead {

// The interface that the server's side of a connection of two parties begins with.
capnp::Capability::Client bootstrapOf(capnp::RpcSystem<capnp::rpc::twoparty::VatId>& rpc);

// One Cap'n Proto connection over a Unix socket, descriptors included. Destroying it cuts the
// connection; capabilities that came through it are broken from then on.
class Connection {
 public:
  // As the client: `bootstrap()` gives the peer's interface.
  Connection(kj::Own<kj::AsyncCapabilityStream> stream, const ConnectionLimits& limits);

  // As the server of `bootstrap`.
  Connection(kj::Own<kj::AsyncCapabilityStream> stream, const ConnectionLimits& limits,
             capnp::Capability::Client bootstrap);

  KJ_DISALLOW_COPY_AND_MOVE(Connection);

  template <typename Interface>
  typename Interface::Client bootstrap() {
    return bootstrapOf(rpc).castAs<Interface>();
  }

  // Resolves when the peer has closed, on a connection that was not used yet as well.
  kj::Promise<void> whenClosed() { return stream->whenWriteDisconnected(); }

  // Resolves when the peer is gone; on a connection whose `bootstrap()` was had.
  kj::Promise<void> onDisconnect() { return network.onDisconnect(); }

 private:
  kj::Own<kj::AsyncCapabilityStream> stream;
  capnp::TwoPartyVatNetwork network;
  capnp::RpcSystem<capnp::rpc::twoparty::VatId> rpc;
};

// Connects to an edge's socket. Fails with DISCONNECTED when nobody listens.
kj::Own<Connection> connectTo(kj::LowLevelAsyncIoProvider& provider, Edge edge,
                              const ConnectionLimits& limits = {});
kj::Own<Connection> connectTo(kj::LowLevelAsyncIoProvider& provider, kj::StringPtr path,
                              const ConnectionLimits& limits = {});

// A peer that may restart. Each `get()` gives the present connection's bootstrap, connecting anew
// where the last one broke; calls that were under way fail with DISCONNECTED, since only the caller
// knows how to find the truth again.
template <typename Interface>
class Peer {
 public:
  Peer(kj::LowLevelAsyncIoProvider& provider, Edge edge, ConnectionLimits limits = {})
      : provider(provider), edge(edge), limits(limits) {}

  // Throws DISCONNECTED when nobody listens.
  typename Interface::Client get() {
    if (connection.get() == nullptr || broken) {
      // Where this throws, the old connection is still the broken one.
      auto fresh = connectTo(provider, edge, limits);
      broken = false;
      watcher = fresh->onDisconnect()
                    .then([this]() { broken = true; })
                    .eagerlyEvaluate([this](kj::Exception&&) { broken = true; });
      client = fresh->template bootstrap<Interface>();
      connection = kj::mv(fresh);
    }
    return KJ_ASSERT_NONNULL(client);
  }

  // Resolves when the present connection is gone; at once when there is none.
  kj::Promise<void> onDisconnect() {
    if (connection.get() == nullptr || broken) return kj::READY_NOW;
    return connection->onDisconnect();
  }

 private:
  kj::LowLevelAsyncIoProvider& provider;
  Edge edge;
  ConnectionLimits limits;
  kj::Own<Connection> connection;

  // Had once for each connection: to ask a connection for it that has just broken, before `watcher`
  // was told, ends in an exception that Cap'n Proto cannot let out.
  kj::Maybe<typename Interface::Client> client;
  kj::Promise<void> watcher = nullptr;
  bool broken = false;
};

}  // namespace bulkhead
