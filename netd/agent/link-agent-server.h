// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/timer.h>

#include "netd/agent/link-table.h"
#include "schemas/network.capnp.h"

namespace bulkhead::net {

// The bootstrap interface of netagent.sock (schemas/network.capnp). The controller is trusted to
// say who gets which address; what it says is checked for form all the same.
class LinkAgentServer final : public schema::LinkAgent::Server {
 public:
  LinkAgentServer(LinkTable& table, kj::Timer& timer) : table(table), timer(timer) {}

  kj::Promise<void> synchronize(SynchronizeContext call) override;
  kj::Promise<void> configure(ConfigureContext call) override;
  kj::Promise<void> remove(RemoveContext call) override;
  kj::Promise<void> statistics(StatisticsContext call) override;

 private:
  LinkTable& table;
  kj::Timer& timer;
};

}  // namespace bulkhead::net
