// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async.h>
#include <kj/function.h>
#include <kj/map.h>
#include <kj/refcount.h>
#include <kj/timer.h>

#include "hvd/console.h"
#include "hvd/domain-nodes.h"
#include "hvd/event-channels.h"
#include "hvd/journal.h"
#include "hvd/loop-device.h"
#include "hvd/worker.h"
#include "hvd/xen-control.h"
#include "hvd/xenstore-client.h"
#include "services/runtime/log.h"

namespace bulkhead::hvd {

// What every domain stands on. Outlives them all.
struct Machine {
  XenControl& xen;        // of the event loop: quick hypercalls only
  Worker& worker;         // for those that block
  XenControl& workerXen;  // to be touched in the worker's jobs only
  XenstoreClient& xenstore;
  EventChannels& channels;
  ForeignMemory& memory;
  LoopDevices& loops;
  Journal& journal;
  kj::Timer& timer;
  Log& log;
};

struct RingValues {
  uint32_t gref;
  uint32_t eventPort;
  uint64_t epoch;
};

// One domain of ours, from the moment it is complete until nothing of it is left. Configuration is
// this process's own record: nodes that a guest or a back end may write are never read for it.
class Domain final : public kj::Refcounted {
 public:
  using EndReason = schema::DomainEnd::Reason;

  // `record` is alive, or ending for one whose destruction has to go on. `onGone` is called once,
  // when nothing is left.
  Domain(Machine& machine, JournalRecord record, kj::Function<void(const Uuid&)> onGone);
  KJ_DISALLOW_COPY_AND_MOVE(Domain);

  const Uuid& uuid() const { return record.uuid; }
  uint32_t domid() const { return record.domid; }

  // Keeps a disk's block device from going (hvd/loop-device.h) until the disk is detached or the
  // domain destroyed: a back end says that it is ready before it has opened the device.
  void hold(uint32_t device, kj::AutoCloseFd holder);

  // Maps the console and watches for the ring. A console that cannot be had is logged: the guest
  // may be dead already.
  void open();

  // What the hypervisor says of the domain now; none when it has no such domain.
  void observe(kj::Maybe<const DomainFacts&> facts);

  void describe(schema::DomainInfo::Builder out) const;

  void pause();
  void unpause();
  kj::Promise<void> shutdown();

  // Takes all of it away; see Domain.destroy in schemas/hypervisor.capnp. Any number may wait.
  kj::Promise<void> destroy();

  kj::Promise<EndReason> whenEnded();
  kj::Promise<RingValues> whenRingOffered(uint64_t after);

  kj::Promise<void> connectVif(uint32_t index);
  kj::Promise<void> attachVif(VifConfig vif);
  kj::Promise<void> detachVif(uint32_t index);
  kj::Promise<void> attachDisk(DiskConfig disk, kj::AutoCloseFd image);
  kj::Promise<void> detachDisk(kj::StringPtr name);

  kj::Own<ConsoleHistory> console() { return kj::addRef(*history); }

 private:
  enum class Life { alive, ending, gone };

  Machine& machine;
  JournalRecord record;
  kj::Function<void(const Uuid&)> onGone;
  Life life = Life::alive;
  DomainFacts facts{};
  kj::Own<ConsoleHistory> history = kj::refcounted<ConsoleHistory>();
  kj::Own<Console> consoleRing;
  kj::TreeMap<uint32_t, kj::AutoCloseFd> diskHolders;  // by xenbus number

  kj::Maybe<EndReason> ended;
  kj::Vector<kj::Own<kj::PromiseFulfiller<EndReason>>> endWaiters;

  kj::Maybe<RingValues> ring;
  struct RingWaiter {
    uint64_t after;
    kj::Own<kj::PromiseFulfiller<RingValues>> fulfiller;
  };
  kj::Vector<RingWaiter> ringWaiters;
  kj::Promise<void> ringWatcher = nullptr;

  kj::Maybe<kj::ForkedPromise<void>> teardownUnderWay;
  bool teardownFailed = false;
  bool nodesRemoved = false;
  kj::Own<kj::PromiseFulfiller<void>> released;  // the teardown waits for the domain to go

  void requireAlive() const;
  kj::Maybe<VifConfig&> findVif(uint32_t index);
  void endWith(EndReason reason);
  void offer(uint32_t gref, uint32_t eventPort, bool again);
  kj::Promise<void> watchRing();
  kj::Promise<void> tearDown();
  bool numberReused() const;
  kj::Promise<void> destroyInXen();
  kj::Promise<void> cutFrontends();
  kj::Promise<void> removeDevicesAndNodes();
  kj::Promise<bool> waitUntilReleased();
  kj::Promise<void> forget();
  kj::Promise<void> closeDevice(kj::String backend, kj::String frontend);
};

}  // namespace bulkhead::hvd
