// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/refcount.h>
#include <kj/timer.h>

#include "services/runtime/log.h"
#include "services/zoned/change-signal.h"
#include "services/zoned/config.h"
#include "services/zoned/peers.h"
#include "services/zoned/store.h"

namespace bulkhead {

// What a zone's life needs from its surroundings; all of it outlives every zone.
struct ZoneServices {
  Peers& peers;
  Store& store;
  kj::Timer& timer;
  const kj::MonotonicClock& clock;
  kj::LowLevelAsyncIoProvider& provider;
  Log& log;
  const ZonedConfig& config;
};

// The capabilities zoned holds of a zone that exists. Any of them may break and be had anew.
struct ZoneHoldings {
  kj::Maybe<schema::Domain::Client> domain;
  kj::Maybe<schema::Link::Client> link;
  kj::Maybe<schema::ZoneAgent::Client> agent;
  kj::Maybe<schema::Workload::Client> workload;
  kj::Maybe<schema::Process::Client> process;
  uint64_t ringEpoch = 0;  // of the ring that was attached last

  // The zone's images, as long as imaged lives: it collects none that is held.
  kj::Vector<schema::Image::Client> images;
};

// One zone: its record, what is held of it, and who waits for it. `ZoneLife` moves it from state
// to state; capabilities (ZoneServer) look at it and ask for its end.
class Zone final : public kj::Refcounted, private kj::TaskSet::ErrorHandler {
 public:
  Zone(ZoneServices services, ZoneRecord record);
  KJ_DISALLOW_COPY_AND_MOVE(Zone);

  ZoneServices services;
  ZoneRecord record;
  ZoneHoldings holdings;

  // Work that ends by itself and goes with the zone, such as feeding a process its input.
  kj::TaskSet background;

  // Writes the record to the store and tells the waiters.
  void save();

  // Changes the state and saves. A `failed` zone's waiters fail with its failure.
  void enter(ZoneState state);

  // Lets go of the link and of everything that came through it. Calls under way keep a link alive
  // as well as the capability does, so that they end too.
  void dropLink();

  // Tells the waiters that holdings changed.
  void changed() { signal.raise(); }
  kj::Promise<void> nextChange() { return signal.next(); }

  // Resolves when the agent answers; fails with the launch's failure.
  kj::Promise<void> whenReady();

  // Resolves when the workload has ended, or the zone has failed or is gone.
  kj::Promise<void> whenEnded();

  // The link and the workload, once they are (again) there. Fails with `busy`, or the zone's own
  // failure, when there will be none.
  kj::Promise<void> whenLinked();

  // Asks for the zone's end and waits for it. Idempotent. Fails when something could not be
  // removed; it is tried again later by itself.
  kj::Promise<void> destroy();

  // Asks for the end without waiting for it.
  void requestEnd();
  bool endRequested() const { return endWanted; }

  // Fails with `cancelled` once the end is requested; for `exclusiveJoin` with what may take long.
  kj::Promise<void> whenEndRequested();

  // Whoever made the zone is gone. Ends zones that live for their maker only: those that are
  // removed when they exit and whose start was left to that maker.
  void makerGone();

  bool hasEnded() const;

  // The failure to tell of a zone that is not usable.
  kj::Exception failureException() const;

  // Set by ZoneLife when removing everything did not work.
  void removalFailed(Failure why);
  kj::Maybe<Failure> removalFailure;
  uint removalAttempts = 0;

 private:
  ChangeSignal signal;
  bool endWanted = false;

  void taskFailed(kj::Exception&& exception) override;
};

}  // namespace bulkhead
