// SPDX-License-Identifier: Apache-2.0
#include "services/zoned/teardown.h"

#include "services/runtime/back-off.h"
#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

// Dropping the link unmaps the ring; until its process has done so the domain's memory is busy.
// Nothing tells when, so a few short waits bridge it.
constexpr uint kBusyTries = 8;
constexpr kj::Duration kFirstBusyWait = 25 * kj::MILLISECONDS;
constexpr kj::Duration kLongestBusyWait = 500 * kj::MILLISECONDS;

kj::Promise<void> destroyDomain(Zone& zone, schema::Domain::Client domain) {
  BackOff backOff(zone.services.timer, kFirstBusyWait, kLongestBusyWait);
  for (uint attempt = 1;; ++attempt) {
    kj::Maybe<kj::Exception> failed;
    try {
      co_await domain.destroyRequest().send();
      co_return;
    } catch (...) {
      failed = kj::getCaughtExceptionAsKj();
    }
    KJ_IF_MAYBE (exception, failed) {
      if (attempt == kBusyTries || !isFailure(*exception, FailureCode::BUSY)) {
        kj::throwFatalException(kj::mv(*exception));
      }
    }
    co_await backOff.wait();
  }
}

kj::Promise<void> removeDomain(Zone& zone) {
  if (!zone.services.store.begun(zone.record.id, Step::domain)) co_return;
  bool destroyed = false;
  KJ_IF_MAYBE (held, zone.holdings.domain) {
    auto domain = *held;
    try {
      co_await destroyDomain(zone, domain);
      destroyed = true;
    } catch (...) {
      auto exception = kj::getCaughtExceptionAsKj();
      // hvd restarted: the domain is found anew below.
      if (!isDisconnected(exception)) kj::throwFatalException(kj::mv(exception));
    }
  }
  zone.holdings.domain = nullptr;
  if (!destroyed) {
    auto found = co_await findDomain(zone);
    KJ_IF_MAYBE (domain, found) {
      co_await destroyDomain(zone, *domain);
    }
  }
  zone.services.store.undone(zone.record.id, Step::domain);
}

kj::Promise<void> releaseNetwork(Zone& zone) {
  if (!zone.services.store.begun(zone.record.id, Step::network)) co_return;
  auto request = zone.services.peers.network.get().findRequest();
  request.setZone(zone.record.id.data());
  auto found = co_await request.send();
  for (auto entry : found.getAttachments()) {
    co_await entry.getAttachment().releaseRequest().send();
  }
  zone.services.store.undone(zone.record.id, Step::network);
}

}  // namespace

kj::Promise<kj::Maybe<schema::Domain::Client>> findDomain(Zone& zone) {
  auto response = co_await zone.services.peers.hypervisor.get().domainsRequest().send();
  for (auto entry : response.getDomains()) {
    if (entry.getInfo().getUuid() == zone.record.id.data()) co_return entry.getDomain();
  }
  co_return nullptr;
}

kj::Promise<void> tearDown(Zone& zone) {
  zone.dropLink();

  kj::Maybe<kj::Exception> first;
  auto note = [&](kj::StringPtr step, kj::Exception&& exception) {
    zone.services.log.warning("a step of removing a zone failed",
                              {field("ZONE", zone.record.id), field("STEP", step),
                               field("ERROR", failureOf(exception).describe())});
    if (first == nullptr) first = kj::mv(exception);
  };
  co_await removeDomain(zone).catch_([&](kj::Exception&& e) { note("domain", kj::mv(e)); });
  co_await releaseNetwork(zone).catch_([&](kj::Exception&& e) { note("network", kj::mv(e)); });
  if (first == nullptr) zone.holdings.images.clear();
  KJ_IF_MAYBE (exception, first) {
    kj::throwFatalException(kj::mv(*exception));
  }
}

}  // namespace bulkhead
