// SPDX-License-Identifier: Apache-2.0
#include "hvd/hypervisor-server.h"

#include <kj/debug.h>

#include "hvd/domain-server.h"
#include "hvd/host.h"
#include "services/runtime/failure.h"
#include "services/runtime/files.h"

namespace bulkhead::hvd {
namespace {

class HypervisorServer final : public schema::Hypervisor::Server {
 public:
  HypervisorServer(Machine& machine, Registry& registry) : machine(machine), registry(registry) {}

 protected:
  kj::Promise<void> status(StatusContext context) override {
    auto out = context.getResults().initStatus();
    describeHost(machine.xen, out);
    out.setDomains(static_cast<uint32_t>(registry.size()));
    out.setControlDegraded(!machine.xenstore.healthy());
    out.setHostId(machine.journal.hostId().text());
    return kj::READY_NOW;
  }

  kj::Promise<void> createDomain(CreateDomainContext context) override {
    auto spec = context.getParams().getSpec();
    auto config = checkSpec(spec);
    DomainFiles files;
    files.kernel = co_await takeFd(spec.getKernel(), "kernel");
    if (spec.hasInitrd()) files.initrd = co_await takeFd(spec.getInitrd(), "initrd");
    for (auto disk : spec.getDisks()) {
      files.disks.add(co_await takeFd(disk.getImage(), disk.getName()));
    }
    auto created = co_await registry.create(kj::mv(config), kj::mv(files));
    auto results = context.getResults();
    results.setDomain(makeDomainServer(machine, kj::mv(created.domain)));
    auto phases = results.initPhases(static_cast<unsigned>(created.phases.size()));
    for (unsigned i = 0; i < created.phases.size(); ++i) {
      phases[i].setName(created.phases[i].name);
      phases[i].setNanoseconds(created.phases[i].nanoseconds);
    }
  }

  kj::Promise<void> domains(DomainsContext context) override {
    auto all = registry.list();
    auto out = context.getResults().initDomains(static_cast<unsigned>(all.size()));
    for (unsigned i = 0; i < all.size(); ++i) {
      refresh(machine, *all[i]);
      all[i]->describe(out[i].initInfo());
      out[i].setDomain(makeDomainServer(machine, kj::mv(all[i])));
    }
    return kj::READY_NOW;
  }

  kj::Promise<void> hypervisorConsole(HypervisorConsoleContext context) override {
    auto params = context.getParams();
    uint32_t position = 0;
    auto history = kj::refcounted<ConsoleHistory>();
    history->append(readHypervisorConsole(machine.xen, position));
    kj::Own<EventChannels::Channel> channel;
    if (params.getMode() == schema::ConsoleMode::FOLLOW) {
      channel = follow(*history, position);
    }
    auto stream = streamConsole(kj::mv(history), params.getSink(), params.getMode());
    context.getResults().setHandle(
        makeHandle([stream = kj::mv(stream), channel = kj::mv(channel)]() {}));
    return kj::READY_NOW;
  }

  kj::Promise<void> topology(TopologyContext context) override {
    auto places = cpuTopology(machine.xen);
    auto out = context.getResults().initCpus(static_cast<unsigned>(places.size()));
    for (unsigned i = 0; i < places.size(); ++i) {
      out[i].setId(places[i].id);
      out[i].setCore(places[i].core);
      out[i].setSocket(places[i].socket);
      out[i].setNode(places[i].node);
    }
    return kj::READY_NOW;
  }

 private:
  Machine& machine;
  Registry& registry;

  // The hypervisor tells of new messages by a virtual interrupt, which one process can have.
  kj::Own<EventChannels::Channel> follow(ConsoleHistory& history, uint32_t position) {
    auto link = kj::heap<kj::Own<EventChannels::Channel>>();
    auto& own = *link;
    own = machine.channels.bindVirtualInterrupt(
        VIRQ_CON_RING,
        [this, history = kj::addRef(history), position, link = kj::mv(link)]() mutable {
          history->append(readHypervisorConsole(machine.xen, position));
          (*link)->unmask();
        });
    own->unmask();
    return kj::mv(own);
  }
};

}  // namespace

schema::Hypervisor::Client makeHypervisorServer(Machine& machine, Registry& registry) {
  return kj::heap<HypervisorServer>(machine, registry);
}

}  // namespace bulkhead::hvd
