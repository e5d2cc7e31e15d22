// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "netd/address-book.h"
#include "netd/agent-channel.h"
#include "netd/config.h"
#include "schemas/network.capnp.h"

namespace bulkhead::net {

// What every connection to netd shares. All of it outlives the servers made of it.
struct NetworkContext {
  AddressBook& book;
  AgentChannel& agent;
  const Config& config;
};

// The bootstrap interface of netd.sock (schemas/network.capnp). `reserve`, `publish` and
// `setPolicy` are not served: calls to them fail as unimplemented.
class NetworkServer final : public schema::Network::Server {
 public:
  explicit NetworkServer(NetworkContext context) : context(context) {}

  kj::Promise<void> attach(AttachContext call) override;
  kj::Promise<void> find(FindContext call) override;
  kj::Promise<void> retain(RetainContext call) override;
  kj::Promise<void> status(StatusContext call) override;

 private:
  NetworkContext context;
};

}  // namespace bulkhead::net
