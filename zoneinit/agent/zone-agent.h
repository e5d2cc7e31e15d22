// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/map.h>

#include "schemas/agent.capnp.h"
#include "services/runtime/log.h"
#include "zoneinit/agent/interfaces.h"
#include "zoneinit/runtime/container.h"

namespace bulkhead::zone {

// schemas/agent.capnp, ZoneAgent: the zone's configuration and its containers. One object serves
// every session, so that containers outlive a lost ring.
class ZoneAgentServer final : public schema::ZoneAgent::Server, private Neighbours {
 public:
  ZoneAgentServer(RuntimeContext& context, Interfaces& interfaces, Log& log);

  kj::Promise<void> info(InfoContext context) override;
  kj::Promise<void> configure(ConfigureContext context) override;
  kj::Promise<void> createWorkload(CreateWorkloadContext context) override;
  kj::Promise<void> workloads(WorkloadsContext context) override;
  kj::Promise<void> metrics(MetricsContext context) override;
  kj::Promise<void> processes(ProcessesContext context) override;

 private:
  kj::Maybe<Container&> findContainer(kj::StringPtr id) override;

  struct Entry {
    kj::Own<Container> container;
    schema::Workload::Client server;
  };

  RuntimeContext& runtime;
  Interfaces& interfaces;
  Log& log;
  uint64_t bootNanoseconds;
  NameFiles files;
  kj::HashMap<kj::String, Entry> entries;
};

}  // namespace bulkhead::zone
