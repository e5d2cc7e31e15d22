// SPDX-License-Identifier: Apache-2.0
#include "services/zoned/life.h"

#include "services/zoned/launch.h"
#include "services/zoned/supervise.h"
#include "services/zoned/teardown.h"

namespace bulkhead {
namespace {

constexpr kj::Duration kFirstRetry = 5 * kj::SECONDS;
constexpr kj::Duration kLongestRetry = 300 * kj::SECONDS;

// How long the exit of a `run` that outlived a zoned is remembered: its client may be on its way
// back to ask for it.
constexpr kj::Duration kReturnGrace = 30 * kj::SECONDS;

enum class Origin { launch, record };

bool removedWhenExited(Zone& zone) {
  return zone.record.spec().getRemoval() == schema::ZoneSpec::Removal::WHEN_EXITED;
}

// Takes the zone apart, again and again until it worked. A failure is told to those who wait for
// the removal; somebody's further `destroy` is a reason to try at once.
kj::Promise<void> tearDownAtLast(Zone& zone) {
  auto delay = kFirstRetry;
  for (;;) {
    kj::Maybe<kj::Exception> failed;
    try {
      co_await tearDown(zone);
      co_return;
    } catch (...) {
      failed = kj::getCaughtExceptionAsKj();
    }
    KJ_IF_MAYBE (exception, failed) {
      // The failure the zone ended with must not wait for services that are away.
      if (zone.record.failure != nullptr && zone.record.state != ZoneState::FAILED) {
        zone.enter(ZoneState::FAILED);
      }
      zone.removalFailed(failureOf(*exception));
    }
    auto asked = [](Zone& z) -> kj::Promise<void> {
      while (z.removalFailure != nullptr) co_await z.nextChange();
    };
    co_await zone.services.timer.afterDelay(delay).exclusiveJoin(asked(zone));
    delay = kj::min(delay * 2, kLongestRetry);
  }
}

bool mayBeAskedFor(Zone& zone, Origin origin) {
  return origin == Origin::record && zone.record.state == ZoneState::EXITED &&
         zone.record.spec().getDeferStart() && removedWhenExited(zone) && !zone.endRequested();
}

kj::Promise<void> endRequested(Zone& zone) {
  while (!zone.endRequested()) co_await zone.nextChange();
}

kj::Promise<void> end(Zone& zone, Origin origin) {
  auto& record = zone.record;
  if (mayBeAskedFor(zone, origin)) {
    co_await tearDownAtLast(zone);
    co_await zone.services.timer.afterDelay(kReturnGrace).exclusiveJoin(endRequested(zone));
  }
  bool failed = record.failure != nullptr;
  bool remove = zone.endRequested() || removedWhenExited(zone);
  if (remove && !failed) zone.enter(ZoneState::DESTROYING);
  co_await tearDownAtLast(zone);
  record.domid = 0;
  if (failed) zone.enter(ZoneState::FAILED);
  if (!remove) co_await endRequested(zone);
  zone.services.store.forget(record.id);
  zone.enter(ZoneState::DESTROYED);
  zone.services.log.info("zone removed", {field("ZONE", record.id), field("NAME", record.name)});
}

// Whatever the zone ended with becomes its failure, unless its end was asked for or it had done
// its work already.
void noteFailure(Zone& zone, const kj::Exception& exception) {
  if (zone.endRequested() || zone.record.state == ZoneState::EXITED) return;
  auto problem = failureOf(exception);
  if (problem.subject.size() == 0) problem.subject = kj::str(zone.record.name);
  zone.services.log.warning("zone failed",
                            {field("ZONE", zone.record.id), field("NAME", zone.record.name),
                             field("ERROR", problem.describe())});
  zone.record.failure = kj::mv(problem);
  zone.services.store.put(zone.record);
}

kj::Promise<void> adopt(Zone& zone) {
  auto& record = zone.record;
  switch (record.state) {
    case ZoneState::CREATING:
      fail(FailureCode::CANCELLED, record.name, "zoned restarted during the launch",
           "launch the zone again");
    case ZoneState::EXITED:
      // Only the removal was left to do.
      if (removedWhenExited(zone)) break;
      [[fallthrough]];
    case ZoneState::READY:
    case ZoneState::RUNNING:
      co_await superviseZone(zone);
      break;
    case ZoneState::DESTROYING:
      zone.requestEnd();
      break;
    case ZoneState::FAILED:
    case ZoneState::DESTROYED:
      break;
  }
}

}  // namespace

kj::Promise<void> liveFromLaunch(kj::Own<Zone> zone, Progress progress) {
  try {
    co_await launchZone(*zone, progress);
    zone->services.log.info("zone ready",
                            {field("ZONE", zone->record.id), field("NAME", zone->record.name),
                             field("DOMID", zone->record.domid)});
    co_await superviseZone(*zone);
  } catch (...) {
    noteFailure(*zone, kj::getCaughtExceptionAsKj());
  }
  co_await end(*zone, Origin::launch);
}

kj::Promise<void> liveFromRecord(kj::Own<Zone> zone) {
  try {
    co_await adopt(*zone);
  } catch (...) {
    noteFailure(*zone, kj::getCaughtExceptionAsKj());
  }
  co_await end(*zone, Origin::record);
}

}  // namespace bulkhead
