// SPDX-License-Identifier: Apache-2.0
#include "hvd/domain-server.h"

#include <algorithm>

#include <kj/debug.h>

#include "services/runtime/failure.h"
#include "services/runtime/files.h"

namespace bulkhead::hvd {
namespace {

constexpr uint32_t kTailLimit = 4096;

class DomainServer final : public schema::Domain::Server {
 public:
  DomainServer(Machine& machine, kj::Own<Domain> domain)
      : machine(machine), domain(kj::mv(domain)) {}

 protected:
  kj::Promise<void> info(InfoContext context) override {
    refresh(machine, *domain);
    domain->describe(context.getResults().initInfo());
    return kj::READY_NOW;
  }

  kj::Promise<void> unpause(UnpauseContext) override {
    domain->unpause();
    return kj::READY_NOW;
  }

  kj::Promise<void> pause(PauseContext) override {
    domain->pause();
    return kj::READY_NOW;
  }

  kj::Promise<void> shutdown(ShutdownContext) override { return domain->shutdown(); }
  kj::Promise<void> destroy(DestroyContext) override { return domain->destroy(); }

  kj::Promise<void> whenEnded(WhenEndedContext context) override {
    auto reason = co_await domain->whenEnded();
    auto end = context.getResults().initEnd();
    end.setReason(reason);
    if (reason == Domain::EndReason::CRASH) {
      end.setConsoleTail(domain->console()->tail(kTailLimit));
    }
  }

  kj::Promise<void> whenRingOffered(WhenRingOfferedContext context) override {
    auto values = co_await domain->whenRingOffered(context.getParams().getAfter());
    auto offer = context.getResults().initOffer();
    offer.setDomid(domain->domid());
    offer.setGref(values.gref);
    offer.setEventPort(values.eventPort);
    offer.setEpoch(values.epoch);
  }

  kj::Promise<void> connectVif(ConnectVifContext context) override {
    return domain->connectVif(context.getParams().getIndex());
  }

  kj::Promise<void> attachVif(AttachVifContext context) override {
    return domain->attachVif(checkVif(context.getParams().getSpec()));
  }

  kj::Promise<void> detachVif(DetachVifContext context) override {
    return domain->detachVif(context.getParams().getIndex());
  }

  kj::Promise<void> attachDisk(AttachDiskContext context) override {
    auto spec = context.getParams().getSpec();
    auto config = checkDisk(spec);
    auto image = co_await takeFd(spec.getImage(), spec.getName());
    co_await domain->attachDisk(kj::mv(config), kj::mv(image));
  }

  kj::Promise<void> detachDisk(DetachDiskContext context) override {
    return domain->detachDisk(context.getParams().getName());
  }

  kj::Promise<void> console(ConsoleContext context) override {
    auto params = context.getParams();
    context.getResults().setHandle(
        streamConsole(domain->console(), params.getSink(), params.getMode()));
    return kj::READY_NOW;
  }

  kj::Promise<void> consoleTail(ConsoleTailContext context) override {
    auto limit = std::min(context.getParams().getBytes(), kTailLimit);
    context.getResults().setText(domain->console()->tail(limit));
    return kj::READY_NOW;
  }

 private:
  Machine& machine;
  kj::Own<Domain> domain;
};

}  // namespace

schema::Domain::Client makeDomainServer(Machine& machine, kj::Own<Domain> domain) {
  return kj::heap<DomainServer>(machine, kj::mv(domain));
}

void refresh(Machine& machine, Domain& domain) {
  KJ_IF_MAYBE (facts, machine.xen.domain(domain.domid())) {
    if (facts->is(domain.uuid())) {
      domain.observe(*facts);
      return;
    }
  }
  domain.observe(nullptr);
}

}  // namespace bulkhead::hvd
