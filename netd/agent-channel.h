// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async-io.h>
#include <kj/timer.h>

#include "netd/address-book.h"
#include "schemas/network.capnp.h"
#include "services/runtime/connection.h"
#include "services/runtime/log.h"

namespace bulkhead::net {

// Writes a lease's plan for the agent. It must have a domain.
void writeLink(const Lease& lease, schema::LinkPlan::Builder link);

// The controller's end of the edge to the agent, which may die and come back at any time. While it
// is there it knows every lease that has a domain: each new connection starts with the whole plan,
// so that nothing that was missed while it was away matters.
class AgentChannel {
 public:
  // Makes a connection, or throws DISCONNECTED while nobody listens.
  using Connector = kj::Function<kj::Own<Connection>()>;

  AgentChannel(kj::Timer& timer, Log& log, const AddressBook& book, Connector connect);
  KJ_DISALLOW_COPY_AND_MOVE(AgentChannel);

  // Keeps the connection up, for ever.
  kj::Promise<void> run();

  bool connected() const { return state == State::connected; }

  // The link exists and is configured when it resolves. Fails with `unreachable` while the agent is
  // away, and when it goes away meanwhile: it then gets the link with the next synchronization.
  kj::Promise<void> configure(const Lease& lease);

  // The link's configuration is gone when it resolves; also when the agent is away, since the next
  // synchronization does the same.
  kj::Promise<void> remove(uint32_t domid, uint32_t index);

  // Fails as `configure` does.
  kj::Promise<capnp::Response<schema::LinkAgent::StatisticsResults>> statistics(uint32_t domid,
                                                                                uint32_t index);

 private:
  enum class State { away, connected };

  kj::Timer& timer;
  Log& log;
  const AddressBook& book;
  Connector connect;
  State state = State::away;
  kj::Maybe<schema::LinkAgent::Client> agent;

  kj::Promise<void> serveConnection(Connection& connection);
  schema::LinkAgent::Client requireAgent();
};

}  // namespace bulkhead::net
