// SPDX-License-Identifier: Apache-2.0
#include "services/zoned/zone.h"

namespace bulkhead {

Zone::Zone(ZoneServices services, ZoneRecord record)
    : services(services), record(kj::mv(record)), background(*this) {}

void Zone::taskFailed(kj::Exception&& exception) {
  services.log.warning("work for a zone failed, ignoring",
                       {field("ZONE", record.id), field("ERROR", failureOf(exception).describe())});
}

void Zone::save() {
  if (record.state != ZoneState::DESTROYED) services.store.put(record);
  signal.raise();
}

void Zone::enter(ZoneState state) {
  record.state = state;
  save();
}

void Zone::dropLink() {
  background.clear();
  holdings.process = nullptr;
  holdings.workload = nullptr;
  holdings.agent = nullptr;
  holdings.link = nullptr;
  changed();
}

bool Zone::hasEnded() const {
  switch (record.state) {
    case ZoneState::CREATING:
    case ZoneState::READY:
    case ZoneState::RUNNING:
      return false;
    case ZoneState::EXITED:
    case ZoneState::FAILED:
    case ZoneState::DESTROYING:
    case ZoneState::DESTROYED:
      return true;
  }
  return true;
}

kj::Exception Zone::failureException() const {
  KJ_IF_MAYBE (problem, record.failure) {
    return problem->toException();
  }
  switch (record.state) {
    case ZoneState::DESTROYING:
    case ZoneState::DESTROYED:
      return failure(FailureCode::CANCELLED, record.name, "the zone was destroyed").toException();
    default:
      return failure(FailureCode::BUSY, record.name, "the zone's workload does not run")
          .toException();
  }
}

kj::Promise<void> Zone::whenReady() {
  auto self = kj::addRef(*this);
  while (record.state == ZoneState::CREATING) co_await signal.next();
  bool usable = record.state == ZoneState::READY || record.state == ZoneState::RUNNING ||
                record.state == ZoneState::EXITED;
  // A zone that became ready and has ended since then was ready.
  if (!usable && (record.failure != nullptr || record.readyNanoseconds == 0)) {
    kj::throwFatalException(failureException());
  }
}

kj::Promise<void> Zone::whenEnded() {
  auto self = kj::addRef(*this);
  while (!hasEnded()) co_await signal.next();
}

kj::Promise<void> Zone::whenLinked() {
  auto self = kj::addRef(*this);
  for (;;) {
    bool over = record.state == ZoneState::FAILED || record.state == ZoneState::DESTROYING ||
                record.state == ZoneState::DESTROYED;
    if (over) kj::throwFatalException(failureException());
    if (holdings.link != nullptr && holdings.workload != nullptr) co_return;
    co_await signal.next();
  }
}

void Zone::requestEnd() {
  if (endWanted) return;
  endWanted = true;
  signal.raise();
}

kj::Promise<void> Zone::whenEndRequested() {
  auto self = kj::addRef(*this);
  while (!endWanted) co_await signal.next();
  fail(FailureCode::CANCELLED, record.name, "the zone was destroyed");
}

kj::Promise<void> Zone::destroy() {
  auto self = kj::addRef(*this);
  auto attempts = removalAttempts;
  requestEnd();
  // A zone whose removal failed tries again at once when somebody asks.
  removalFailure = nullptr;
  signal.raise();
  while (record.state != ZoneState::DESTROYED) {
    if (removalAttempts != attempts) {
      KJ_IF_MAYBE (problem, removalFailure) {
        kj::throwFatalException(problem->toException());
      }
    }
    co_await signal.next();
  }
}

void Zone::removalFailed(Failure why) {
  ++removalAttempts;
  removalFailure = kj::mv(why);
  signal.raise();
}

void Zone::makerGone() {
  bool livesForMaker = record.spec().getRemoval() == schema::ZoneSpec::Removal::WHEN_EXITED &&
                       record.spec().getDeferStart();
  if (!livesForMaker || endWanted || record.state == ZoneState::DESTROYED) return;
  services.log.info("the client that made the zone is gone, and the zone goes with it",
                    {field("ZONE", record.id), field("NAME", record.name)});
  requestEnd();
}

}  // namespace bulkhead
