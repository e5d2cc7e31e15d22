// SPDX-License-Identifier: Apache-2.0
#include "hvd/domain.h"

#include <array>

#include <kj/debug.h>

#include "hvd/backend-state.h"
#include "services/runtime/failure.h"

namespace bulkhead::hvd {
namespace {

constexpr kj::Duration kDetachPatience = 5 * kj::SECONDS;

// A guest that writes its offer more often is looked at no more often than this.
constexpr kj::Duration kRingPause = 10 * kj::MILLISECONDS;

// The same numbers written again so soon belong to the same offer: permissions set after the value,
// or the second of two writes.
constexpr kj::Duration kSameOffer = 100 * kj::MILLISECONDS;

constexpr size_t kMaxVifs = 8;
constexpr size_t kMaxDisks = 16;

// SHUTDOWN_* of xen/sched.h.
schema::DomainEnd::Reason reasonOf(uint32_t code) {
  using Reason = schema::DomainEnd::Reason;
  switch (code) {
    case SHUTDOWN_poweroff:
      return Reason::POWEROFF;
    case SHUTDOWN_reboot:
      return Reason::REBOOT;
    case SHUTDOWN_watchdog:
      return Reason::WATCHDOG;
    default:
      return Reason::CRASH;
  }
}

kj::StringPtr nameOf(schema::DomainEnd::Reason reason) {
  static constexpr std::array kNames = {"poweroff", "reboot", "crash", "watchdog", "destroyed"};
  return kNames[static_cast<size_t>(reason)];
}

}  // namespace

Domain::Domain(Machine& machine, JournalRecord recordParam, kj::Function<void(const Uuid&)> onGone)
    : machine(machine), record(kj::mv(recordParam)), onGone(kj::mv(onGone)) {
  if (record.state == JournalRecord::State::ENDING) life = Life::ending;
  KJ_IF_MAYBE (now, machine.xen.domain(record.domid)) {
    if (now->is(record.uuid)) facts = *now;
  }
}

void Domain::hold(uint32_t device, kj::AutoCloseFd holder) {
  diskHolders.insert(device, kj::mv(holder));
}

void Domain::open() {
  if (life != Life::alive) return;
  try {
    consoleRing = kj::heap<Console>(machine.memory, machine.channels, machine.timer, record.domid,
                                    record.consoleFrame, record.consolePort, *history);
  } catch (...) {
    machine.log.warning("a domain's console cannot be served, going on without",
                        {field("DOMAIN", record.uuid),
                         field("ERROR", failureOf(kj::getCaughtExceptionAsKj()).describe())});
  }
  ringWatcher = watchRing().eagerlyEvaluate([this](kj::Exception&& e) {
    machine.log.error("a domain's ring can no longer be watched",
                      {field("DOMAIN", record.uuid), field("ERROR", failureOf(e).describe())});
  });
}

void Domain::observe(kj::Maybe<const DomainFacts&> now) {
  if (life == Life::gone) return;
  KJ_IF_MAYBE (present, now) {
    facts = *present;
    if (present->dying) {
      endWith(EndReason::DESTROYED);
    } else KJ_IF_MAYBE (code, present->shutdownReason) {
      endWith(reasonOf(*code));
    }
    return;
  }
  endWith(EndReason::DESTROYED);
  if (released.get() != nullptr) {
    released->fulfill();
    return;
  }
  // Somebody else destroyed it, or a zombie has gone at last: what it left is ours to clear.
  if (teardownUnderWay == nullptr || teardownFailed) {
    destroy().detach([this, self = kj::addRef(*this)](kj::Exception&& e) {
      machine.log.error("clearing after a vanished domain failed",
                        {field("DOMAIN", record.uuid), field("ERROR", failureOf(e).describe())});
    });
  }
}

void Domain::endWith(EndReason reason) {
  if (ended != nullptr) return;
  ended = reason;
  if (consoleRing.get() != nullptr) consoleRing->flush();
  machine.log.info("a domain ended",
                   {field("DOMAIN", record.uuid), field("REASON", nameOf(reason))});
  for (auto& waiter : endWaiters) waiter->fulfill(kj::cp(reason));
  endWaiters.clear();
}

void Domain::describe(schema::DomainInfo::Builder out) const {
  using State = schema::DomainInfo::State;
  out.setUuid(record.uuid.data());
  out.setName(record.name);
  out.setDomid(record.domid);
  out.setVirtualization(record.pvh ? Virtualization::PVH : Virtualization::PV);
  out.setMaxMemoryKiB(uint64_t{record.maxMemoryMiB} * 1024);
  out.setVcpus(facts.vcpus);
  out.setCpuNanoseconds(facts.cpuNanoseconds);
  KJ_IF_MAYBE (reason, ended) {
    out.setShutdownReason(nameOf(*reason));
  }
  if (life == Life::gone) {
    out.setState(State::GONE);
    return;
  }
  out.setMemoryKiB(facts.ownedKiB);
  if (facts.dying || life == Life::ending) {
    out.setState(State::DYING);
  } else if (facts.shutdownReason != nullptr) {
    out.setState(State::SHUTDOWN);
  } else {
    out.setState(facts.paused ? State::PAUSED : State::RUNNING);
  }
}

void Domain::requireAlive() const {
  if (life != Life::alive) {
    fail(FailureCode::BUSY, record.name, "the domain is being destroyed or is gone");
  }
}

void Domain::pause() {
  requireAlive();
  machine.xen.pause(record.domid);
  facts.paused = true;
}

void Domain::unpause() {
  requireAlive();
  machine.xen.unpause(record.domid);
  facts.paused = false;
}

kj::Promise<void> Domain::shutdown() {
  requireAlive();
  return machine.xenstore.commit(
      kj::arr(writeNode(kj::str(domainPath(record.domid), "/control/shutdown"), "poweroff")));
}

kj::Promise<Domain::EndReason> Domain::whenEnded() {
  KJ_IF_MAYBE (reason, ended) {
    return kj::cp(*reason);
  }
  auto paf = kj::newPromiseAndFulfiller<EndReason>();
  endWaiters.add(kj::mv(paf.fulfiller));
  return kj::mv(paf.promise);
}

kj::Promise<RingValues> Domain::whenRingOffered(uint64_t after) {
  KJ_IF_MAYBE (present, ring) {
    if (present->epoch > after) return kj::cp(*present);
  }
  requireAlive();
  auto paf = kj::newPromiseAndFulfiller<RingValues>();
  ringWaiters.add(RingWaiter{after, kj::mv(paf.fulfiller)});
  return kj::mv(paf.promise);
}

void Domain::offer(uint32_t gref, uint32_t eventPort, bool again) {
  uint64_t epoch = 1;
  KJ_IF_MAYBE (last, ring) {
    bool same = last->gref == gref && last->eventPort == eventPort;
    if (same && !again) return;
    epoch = last->epoch + 1;
  }
  RingValues values{gref, eventPort, epoch};
  ring = values;
  auto waiting = kj::mv(ringWaiters);
  ringWaiters = kj::Vector<RingWaiter>();
  for (auto& waiter : waiting) {
    if (values.epoch > waiter.after) {
      waiter.fulfiller->fulfill(kj::cp(values));
    } else if (waiter.fulfiller->isWaiting()) {
      ringWaiters.add(kj::mv(waiter));
    }
  }
}

kj::Promise<void> Domain::watchRing() {
  auto base = kj::str(domainPath(record.domid), "/data/idm");
  auto portPath = kj::str(base, "/event-channel");
  auto refPath = kj::str(base, "/ring-ref");
  // The node that the guest writes last.
  auto watch = machine.xenstore.watch(portPath);
  auto lastOffer = kj::origin<kj::TimePoint>();
  for (;;) {
    co_await watch->next();
    watch->skipPending();
    auto now = machine.timer.now();
    auto refReading = machine.xenstore.read(refPath);
    auto portText = co_await machine.xenstore.read(portPath);
    auto refText = co_await refReading;
    KJ_IF_MAYBE (portValue, portText) {
      auto port = parseStrictly(*portValue);
      auto gref = parseStrictly(refText.orDefault(kj::String()));
      if (port != nullptr && gref != nullptr) {
        offer(gref.orDefault(0), port.orDefault(0), now - lastOffer > kSameOffer);
        lastOffer = now;
      }
    } else {
      // Withdrawn: what comes next is a new offer, whatever its numbers.
      lastOffer = kj::origin<kj::TimePoint>();
    }
    co_await machine.timer.afterDelay(kRingPause);
  }
}

kj::Maybe<VifConfig&> Domain::findVif(uint32_t index) {
  for (auto& vif : record.vifs) {
    if (vif.index == index) return vif;
  }
  return nullptr;
}

kj::Promise<void> Domain::connectVif(uint32_t index) {
  requireAlive();
  KJ_IF_MAYBE (vif, findVif(index)) {
    auto node = kj::str(vifBackendPath(record.domid, *vif), "/hotplug-status");
    return machine.xenstore.commit(kj::arr(writeNode(node, "connected")));
  }
  fail(FailureCode::NOT_FOUND, kj::str("vif ", index), "the domain has no such interface");
}

kj::Promise<void> Domain::attachVif(VifConfig vif) {
  requireAlive();
  if (findVif(vif.index) != nullptr) {
    fail(FailureCode::ALREADY_EXISTS, kj::str("vif ", vif.index), "the index is in use");
  }
  if (record.vifs.size() >= kMaxVifs) {
    fail(FailureCode::EXHAUSTED, record.name, "a domain has 8 interfaces at most");
  }
  auto changes = vifNodes(record.domid, vif).releaseAsArray();
  record.vifs.add(kj::mv(vif));
  co_await machine.journal.write(record);
  co_await machine.xenstore.commit(kj::mv(changes));
}

kj::Promise<void> Domain::closeDevice(kj::String backend, kj::String frontend) {
  // The back end is asked to close and the front end follows; one that does not is cut off.
  kj::Vector<NodeChange> closing;
  addClosing(closing, backend);
  co_await machine.xenstore.commit(closing.releaseAsArray());
  bool closed =
      co_await whenBackendClosed(machine.xenstore, machine.timer, backend, kDetachPatience);
  if (!closed) {
    machine.log.warning("a guest did not let go of a device, removing it",
                        {field("DOMAIN", record.uuid), field("DEVICE", frontend)});
  }
  co_await machine.xenstore.commit(kj::arr(removeNode(frontend), removeNode(backend)));
}

kj::Promise<void> Domain::detachVif(uint32_t index) {
  requireAlive();
  kj::String backend;
  KJ_IF_MAYBE (vif, findVif(index)) {
    backend = vifBackendPath(record.domid, *vif);
  } else {
    co_return;
  }
  co_await closeDevice(kj::mv(backend), vifFrontendPath(record.domid, index));
  kj::Vector<VifConfig> left;
  for (auto& vif : record.vifs) {
    if (vif.index != index) left.add(kj::mv(vif));
  }
  record.vifs = kj::mv(left);
  if (life == Life::alive) co_await machine.journal.write(record);
}

kj::Promise<void> Domain::attachDisk(DiskConfig disk, kj::AutoCloseFd image) {
  requireAlive();
  for (auto& other : record.disks) {
    if (other.device == disk.device) {
      fail(FailureCode::ALREADY_EXISTS, disk.name, "the domain has such a disk");
    }
  }
  if (record.disks.size() >= kMaxDisks) {
    fail(FailureCode::EXHAUSTED, record.name, "a domain has 16 disks at most");
  }
  auto device = machine.loops.attach(kj::mv(image), disk.access, disk.name);
  DiskPlan plan{disk.device, kj::str(disk.name), disk.access, device.major, device.minor};
  record.disks.add(JournalDisk{kj::str(disk.name), disk.device, device.loop});
  hold(disk.device, kj::mv(device.holder));
  co_await machine.journal.write(record);
  co_await machine.xenstore.commit(diskNodes(record.domid, plan).releaseAsArray());
  auto backend = diskBackendPath(record.domid, disk.device);
  co_await whenBackendReady(machine.xenstore, machine.timer, backend, kDetachPatience);
}

kj::Promise<void> Domain::detachDisk(kj::StringPtr nameParam) {
  requireAlive();
  auto name = kj::str(nameParam);
  kj::Maybe<uint32_t> found;
  for (auto& disk : record.disks) {
    if (disk.name == name) found = disk.device;
  }
  if (found == nullptr) co_return;
  uint32_t device = found.orDefault(0);
  co_await closeDevice(diskBackendPath(record.domid, device),
                       diskFrontendPath(record.domid, device));
  kj::Vector<JournalDisk> left;
  for (auto& disk : record.disks) {
    if (disk.device != device) left.add(kj::mv(disk));
  }
  record.disks = kj::mv(left);
  diskHolders.erase(device);
  if (life == Life::alive) co_await machine.journal.write(record);
}

}  // namespace bulkhead::hvd
