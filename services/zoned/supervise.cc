// SPDX-License-Identifier: Apache-2.0
#include "services/zoned/supervise.h"

#include <kj/debug.h>

#include "services/runtime/back-off.h"
#include "services/runtime/failure.h"
#include "services/zoned/image-leases.h"
#include "services/zoned/launch.h"
#include "services/zoned/teardown.h"

namespace bulkhead {
namespace {

constexpr kj::Duration kFirstWait = 100 * kj::MILLISECONDS;
constexpr kj::Duration kLongestWait = 10 * kj::SECONDS;

class Supervision {
 public:
  explicit Supervision(Zone& zone) : zone(zone) {}

  kj::Promise<void> run() {
    // Without a domain there is nothing to watch yet.
    if (zone.holdings.domain == nullptr) co_await reacquireDomain();
    co_await keepLinked().exclusiveJoin(watchDomain());
  }

 private:
  Zone& zone;

  // Counts hvd's incarnations: epochs of rings are comparable within one only.
  uint domainGeneration = 0;
  uint ringGeneration = 0;

  ZoneRecord& record() { return zone.record; }
  ZoneServices& services() { return zone.services; }

  // --- the domain ------------------------------------------------------------------------------

  kj::Promise<void> reacquireDomain() {
    BackOff backOff(services().timer, kFirstWait, kLongestWait);
    for (;;) {
      try {
        auto found = co_await findDomain(zone);
        KJ_IF_MAYBE (domain, found) {
          zone.holdings.domain = *domain;
          ++domainGeneration;
          zone.changed();
          co_return;
        }
        domainEnded(schema::DomainEnd::Reason::DESTROYED, "");
      } catch (...) {
        auto exception = kj::getCaughtExceptionAsKj();
        if (!isDisconnected(exception)) kj::throwFatalException(kj::mv(exception));
      }
      co_await backOff.wait();
    }
  }

  kj::Promise<void> watchDomain() {
    for (;;) {
      bool lost = false;
      try {
        auto domain = KJ_ASSERT_NONNULL(zone.holdings.domain);
        auto response = co_await domain.whenEndedRequest().send();
        domainEnded(response.getEnd().getReason(), response.getEnd().getConsoleTail());
      } catch (...) {
        auto exception = kj::getCaughtExceptionAsKj();
        if (!isDisconnected(exception)) kj::throwFatalException(kj::mv(exception));
        lost = true;
      }
      if (lost) co_await reacquireDomain();
    }
  }

  [[noreturn]] void domainEnded(schema::DomainEnd::Reason reason, kj::StringPtr tail) {
    switch (reason) {
      case schema::DomainEnd::Reason::POWEROFF:
      case schema::DomainEnd::Reason::REBOOT:
        fail(FailureCode::GUEST_CRASHED, record().name, "the zone shut itself down");
      case schema::DomainEnd::Reason::DESTROYED:
        fail(FailureCode::CANCELLED, record().name,
             "the zone's domain was destroyed by somebody else on this host");
      case schema::DomainEnd::Reason::CRASH:
      case schema::DomainEnd::Reason::WATCHDOG:
        break;
    }
    auto shown = printable(tail, 2048);
    fail(FailureCode::GUEST_CRASHED, record().name,
         kj::str("the zone's kernel crashed", shown.size() > 0 ? "; its console ends with: " : "",
                 shown),
         "more memory may help; `bulkhead zone launch` with another kernel image may too");
  }

  // --- the link --------------------------------------------------------------------------------

  kj::Promise<void> keepLinked() {
    for (;;) {
      if (zone.holdings.link == nullptr) co_await relink();
      auto closed = KJ_ASSERT_NONNULL(zone.holdings.link)
                        .whenClosedRequest()
                        .send()
                        .ignoreResult()
                        .then([]() { return false; }, [](kj::Exception&&) { return false; });
      bool over = co_await kj::Promise<bool>(kj::mv(closed)).exclusiveJoin(watchWorkload());
      if (over) co_return;
      services().log.warning("the link to a zone closed; attaching it again",
                             {field("ZONE", record().id), field("NAME", record().name)});
      zone.dropLink();
    }
  }

  kj::Promise<void> relink() {
    BackOff backOff(services().timer, kFirstWait, kLongestWait);
    for (;;) {
      kj::Maybe<kj::Exception> failed;
      uint64_t epoch = 0;
      try {
        auto request = KJ_ASSERT_NONNULL(zone.holdings.domain).whenRingOfferedRequest();
        uint64_t last = ringGeneration == domainGeneration ? zone.holdings.ringEpoch : 0;
        request.setAfter(last);
        ringGeneration = domainGeneration;
        auto offer = co_await request.send();
        epoch = offer.getOffer().getEpoch();
        co_await services().timer.timeoutAfter(
            services().config.bootDeadline,
            attach(offer.getOffer()).exclusiveJoin(newerOffer(epoch)));
        zone.save();
        co_return;
      } catch (...) {
        failed = kj::getCaughtExceptionAsKj();
      }
      KJ_IF_MAYBE (exception, failed) {
        zone.holdings.agent = nullptr;
        zone.holdings.link = nullptr;
        auto problem = failureOf(*exception);
        services().log.warning("attaching a zone's ring failed; trying again",
                               {field("ZONE", record().id), field("ERROR", problem.describe())});
        // A ring that cannot be attached is not tried twice: the agent offers a new one. A service
        // that does not answer says nothing about the ring.
        if (problem.code != FailureCode::UNREACHABLE && epoch > 0) zone.holdings.ringEpoch = epoch;
      }
      co_await backOff.wait();
    }
  }

  // Fails when the agent offers another ring: the one before is stale, as it may be when both ends
  // of a link went away at about the same time, and nobody would answer on it.
  kj::Promise<void> newerOffer(uint64_t epoch) {
    auto request = KJ_ASSERT_NONNULL(zone.holdings.domain).whenRingOfferedRequest();
    request.setAfter(epoch);
    co_await request.send();
    fail(FailureCode::INVALID, record().name, "its agent offered another ring meanwhile");
  }

  kj::Promise<void> attach(schema::RingOffer::Reader offer) {
    co_await attachRing(zone, offer);
    auto response = co_await KJ_ASSERT_NONNULL(zone.holdings.agent).workloadsRequest().send();
    for (auto entry : response.getWorkloads()) {
      if (entry.getId() != kWorkloadId) continue;
      auto workload = entry.getWorkload();
      if (entry.getState() != schema::WorkloadEntry::State::CREATED) {
        zone.holdings.process = workload.processRequest().send().getProcess();
        if (record().state == ZoneState::READY) record().state = ZoneState::RUNNING;
      }
      zone.holdings.workload = kj::mv(workload);
      co_return;
    }
    fail(FailureCode::INTERNAL, record().name, "the zone's agent knows no workload");
  }

  // --- the workload ----------------------------------------------------------------------------

  // True when the zone is to be removed now.
  kj::Promise<bool> watchWorkload() {
    bool whenExited = record().spec().getRemoval() == schema::ZoneSpec::Removal::WHEN_EXITED;
    while (zone.holdings.process == nullptr && record().state != ZoneState::EXITED) {
      co_await zone.nextChange();
    }
    if (record().state != ZoneState::EXITED) {
      bool lost = false;
      try {
        auto ended = co_await KJ_ASSERT_NONNULL(zone.holdings.process).waitRequest().send();
        record().exit = ZoneExit::from(ended.getStatus());
        zone.enter(ZoneState::EXITED);
      } catch (...) {
        auto exception = kj::getCaughtExceptionAsKj();
        if (!isDisconnected(exception)) kj::throwFatalException(kj::mv(exception));
        lost = true;
      }
      // The link's end is what the caller sees next.
      if (lost) co_await kj::Promise<void>(kj::NEVER_DONE);
    }
    if (!whenExited) co_await kj::Promise<void>(kj::NEVER_DONE);
    co_return true;
  }
};

}  // namespace

kj::Promise<void> superviseZone(Zone& zone) {
  Supervision supervision(zone);
  co_await supervision.run()
      .exclusiveJoin(zone.whenEndRequested().catch_([](kj::Exception&&) {}))
      .exclusiveJoin(keepImages(zone));
}

}  // namespace bulkhead
