// SPDX-License-Identifier: Apache-2.0
// How a domain goes: every step may be repeated, since any of them may be the last before a
// restart.
#include <kj/debug.h>

#include "hvd/backend-state.h"
#include "hvd/domain.h"
#include "services/runtime/failure.h"

namespace bulkhead::hvd {
namespace {

constexpr kj::Duration kBackendPatience = 2 * kj::SECONDS;
constexpr kj::Duration kReleasePatience = 5 * kj::SECONDS;

}  // namespace

kj::Promise<void> Domain::destroy() {
  if (life == Life::gone) return kj::READY_NOW;
  if (teardownUnderWay == nullptr || teardownFailed) {
    teardownFailed = false;
    auto task = tearDown().catch_([this](kj::Exception&& e) {
      teardownFailed = true;
      kj::throwFatalException(kj::mv(e));
    });
    teardownUnderWay = task.attach(kj::addRef(*this)).fork();
  }
  KJ_IF_MAYBE (underWay, teardownUnderWay) {
    return underWay->addBranch();
  }
  KJ_UNREACHABLE;
}

kj::Promise<void> Domain::tearDown() {
  life = Life::ending;
  if (record.state != JournalRecord::State::ENDING) {
    record.state = JournalRecord::State::ENDING;
    co_await machine.journal.write(record);
  }
  // Whatever of the guest is mapped here would keep it from going.
  if (consoleRing.get() != nullptr) consoleRing->flush();
  consoleRing = nullptr;
  ringWatcher = nullptr;
  auto cut = failure(FailureCode::CANCELLED, record.name, "the domain was destroyed").toException();
  for (auto& waiter : ringWaiters) waiter.fulfiller->reject(kj::cp(cut));
  ringWaiters.clear();

  // Before the domain: xenstored drops the nodes of a dead one without a word to anybody, and the
  // back ends, which close when they see their front ends gone, would never learn of it.
  if (!nodesRemoved && !numberReused()) co_await cutFrontends();
  auto steps = kj::heapArrayBuilder<kj::Promise<void>>(2);
  steps.add(destroyInXen());
  steps.add(nodesRemoved ? kj::Promise<void>(kj::READY_NOW) : removeDevicesAndNodes());
  co_await kj::joinPromises(steps.finish());
  nodesRemoved = true;
  diskHolders.clear();
  if (!co_await waitUntilReleased()) {
    fail(FailureCode::BUSY, record.name,
         "something in dom0 still maps its memory; it goes as soon as that ends",
         "close what is connected to it");
  }
  co_await forget();
}

// The number may have gone to another domain since.
bool Domain::numberReused() const {
  KJ_IF_MAYBE (present, machine.xen.domain(record.domid)) {
    return !present->is(record.uuid);
  }
  return false;
}

kj::Promise<void> Domain::destroyInXen() {
  co_await machine.worker.run(
      [&xen = machine.workerXen, domid = record.domid, uuid = record.uuid]() {
        KJ_IF_MAYBE (present, xen.domain(domid)) {
          if (present->is(uuid)) xen.destroy(domid);
        }
      });
  endWith(EndReason::DESTROYED);
}

// A back end whose own state says so, and whose front end is gone, closes for good.
kj::Promise<void> Domain::cutFrontends() {
  kj::Vector<NodeChange> changes;
  auto cut = [&](kj::String backend, kj::String frontend) -> kj::Promise<void> {
    changes.add(removeNode(frontend));
    // One that was never made must not be made by this.
    if (co_await machine.xenstore.read(kj::str(backend, "/state")) == nullptr) co_return;
    addClosing(changes, backend);
  };
  kj::Vector<kj::Promise<void>> cuts;
  for (auto& disk : record.disks) {
    cuts.add(cut(diskBackendPath(record.domid, disk.device),
                 diskFrontendPath(record.domid, disk.device)));
  }
  for (auto& vif : record.vifs) {
    cuts.add(cut(vifBackendPath(record.domid, vif), vifFrontendPath(record.domid, vif.index)));
  }
  co_await kj::joinPromises(cuts.releaseAsArray());
  co_await machine.xenstore.commit(changes.releaseAsArray());
}

kj::Promise<void> Domain::removeDevicesAndNodes() {
  kj::Vector<kj::String> backends;
  kj::Vector<uint32_t> backendDomains;
  for (auto& disk : record.disks) backends.add(diskBackendPath(record.domid, disk.device));
  for (auto& vif : record.vifs) {
    backends.add(vifBackendPath(record.domid, vif));
    backendDomains.add(vif.backendDomain);
  }
  if (numberReused()) {
    // Only what carries our UUID is ours.
    co_await machine.xenstore.commit(kj::arr(removeNode(kj::str("/vm/", record.uuid))));
    co_return;
  }
  auto closings = kj::heapArrayBuilder<kj::Promise<bool>>(backends.size());
  for (auto& path : backends) {
    closings.add(whenBackendClosed(machine.xenstore, machine.timer, path, kBackendPatience));
  }
  for (bool closed : co_await kj::joinPromises(closings.finish())) {
    if (!closed) {
      machine.log.warning("a back end did not close, removing it", {field("DOMAIN", record.uuid)});
    }
  }
  kj::Vector<NodeChange> changes;
  for (auto& path : backends) changes.add(removeNode(path));
  for (auto& change : purgeNodes(record.domid, record.uuid, backendDomains)) {
    changes.add(kj::mv(change));
  }
  co_await machine.xenstore.commit(changes.releaseAsArray());
}

kj::Promise<bool> Domain::waitUntilReleased() {
  auto stillThere = [this]() {
    KJ_IF_MAYBE (present, machine.xen.domain(record.domid)) {
      return present->is(record.uuid);
    }
    return false;
  };
  if (!stillThere()) co_return true;
  auto paf = kj::newPromiseAndFulfiller<void>();
  released = kj::mv(paf.fulfiller);
  KJ_DEFER(released = nullptr);
  // `observe` is told by xenstored's event, or by the slow look at all domains.
  co_await paf.promise.exclusiveJoin(machine.timer.afterDelay(kReleasePatience));
  co_return !stillThere();
}

kj::Promise<void> Domain::forget() {
  co_await machine.journal.remove(record.uuid);
  life = Life::gone;
  history->close();
  onGone(record.uuid);
}

}  // namespace bulkhead::hvd
