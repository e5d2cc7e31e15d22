// SPDX-License-Identifier: Apache-2.0
#include "services/zoned/zones.h"

#include <kj/debug.h>

#include "services/runtime/failure.h"
#include "services/zoned/life.h"
#include "services/zoned/names.h"
#include "services/zoned/spec.h"

namespace bulkhead {
namespace {

constexpr size_t kLeastIdPrefix = 4;

// Calls `attempt` until the service behind it answers.
kj::Promise<void> untilReached(kj::Timer& timer, kj::Function<kj::Promise<void>()> attempt) {
  auto delay = 200 * kj::MILLISECONDS;
  for (;;) {
    try {
      co_await attempt();
      co_return;
    } catch (...) {
      auto exception = kj::getCaughtExceptionAsKj();
      if (!isDisconnected(exception)) {
        kj::throwFatalException(kj::mv(exception));
      }
    }
    co_await timer.afterDelay(delay);
    delay = kj::min(delay * 2, 10 * kj::SECONDS);
  }
}

}  // namespace

Zones::Zones(ZoneServices services) : services(services), lives(*this) {}

Zone& Zones::add(ZoneRecord record) {
  zones.add(kj::refcounted<Zone>(services, kj::mv(record)));
  return *zones.back();
}

void Zones::live(Zone& zone, kj::Promise<void> life) {
  auto* address = &zone;
  lives.add(life.then([this, address]() {
    kj::Vector<kj::Own<Zone>> rest(zones.size());
    for (auto& other : zones) {
      if (other.get() != address) rest.add(kj::mv(other));
    }
    zones = kj::mv(rest);
  }));
}

void Zones::reconcile() {
  for (auto& record : services.store.load()) {
    auto& zone = add(kj::mv(record));
    services.log.info("zone found in the store",
                      {field("ZONE", zone.record.id), field("NAME", zone.record.name)});
    live(zone, liveFromRecord(kj::addRef(zone)));
  }
  lives.add(untilReached(services.timer, [this]() { return removeUnknownDomains(); }));
  lives.add(untilReached(services.timer, [this]() { return releaseUnknownAddresses(); }));
}

kj::Promise<void> Zones::removeUnknownDomains() {
  auto response = co_await services.peers.hypervisor.get().domainsRequest().send();
  for (auto entry : response.getDomains()) {
    auto uuid = entry.getInfo().getUuid();
    bool known = false;
    for (auto& zone : zones) known = known || zone->record.id.data() == uuid;
    if (known) continue;
    services.log.warning("destroying a domain that no zone accounts for",
                         {field("DOMAIN", printable(entry.getInfo().getName(), 64)),
                          field("DOMID", entry.getInfo().getDomid())});
    try {
      co_await entry.getDomain().destroyRequest().send();
    } catch (...) {
      auto exception = kj::getCaughtExceptionAsKj();
      if (isDisconnected(exception)) {
        kj::throwFatalException(kj::mv(exception));
      }
      services.log.warning("a domain could not be destroyed, ignoring",
                           {field("ERROR", failureOf(exception).describe())});
    }
  }
}

kj::Promise<void> Zones::releaseUnknownAddresses() {
  auto request = services.peers.network.get().retainRequest();
  auto list = request.initZones(static_cast<uint>(zones.size()));
  for (uint i = 0; i < list.size(); ++i) list.set(i, zones[i]->record.id.data());
  auto response = co_await request.send();
  if (response.getReleased() > 0) {
    services.log.warning("released addresses that no zone accounts for",
                         {field("COUNT", response.getReleased())});
  }
}

kj::Maybe<Zone&> Zones::named(uid_t owner, kj::StringPtr name) {
  for (auto& zone : zones) {
    bool gone = zone->record.state == ZoneState::DESTROYED;
    if (!gone && zone->record.owner == owner && zone->record.name == name) return *zone;
  }
  return nullptr;
}

kj::Own<Zone> Zones::create(uid_t owner, schema::ZoneSpec::Reader spec,
                            kj::Maybe<schema::ProgressSink::Client> progress) {
  ZoneRecord record;
  auto normal = record.specMessage->initRoot<schema::ZoneSpec>();
  normalizeSpec(spec, services.config, normal);

  uint owned = 0;
  for (auto& zone : zones) owned += zone->record.owner == owner ? 1 : 0;
  if (owned >= services.config.zonesPerUser) {
    fail(FailureCode::EXHAUSTED, "zones", kj::str("you have ", owned, " zones, which is the limit"),
         "destroy one: bulkhead zone list");
  }

  kj::StringPtr wanted = normal.getName().asReader();
  if (wanted.size() == 0) {
    record.name = inventName([&](kj::StringPtr name) { return named(owner, name) != nullptr; });
  } else {
    if (named(owner, wanted) != nullptr) {
      fail(FailureCode::ALREADY_EXISTS, wanted, "a zone of that name exists",
           kj::str("destroy it first: bulkhead zone destroy ", wanted));
    }
    record.name = kj::str(wanted);
  }
  normal.setName(record.name);
  record.id = Uuid::random();
  record.owner = owner;
  record.createdNanoseconds = unixNanoseconds();
  services.store.put(record);

  auto& zone = add(kj::mv(record));
  services.log.info("making a zone", {field("ZONE", zone.record.id),
                                      field("NAME", zone.record.name), field("OWNER", owner),
                                      field("IMAGE", zone.record.spec().getImage().asReader())});
  live(zone, liveFromLaunch(kj::addRef(zone), Progress(services.timer, kj::mv(progress))));
  return kj::addRef(zone);
}

kj::Vector<kj::Own<Zone>> Zones::list(const Viewer& viewer) {
  kj::Vector<kj::Own<Zone>> seen;
  for (auto& zone : zones) {
    if (viewer.sees(*zone)) seen.add(kj::addRef(*zone));
  }
  return seen;
}

kj::Own<Zone> Zones::find(const Viewer& viewer, kj::StringPtr nameOrId) {
  KJ_IF_MAYBE (own, named(viewer.user, nameOrId)) {
    return kj::addRef(*own);
  }
  kj::Vector<Zone*> fitting;
  for (auto& zone : zones) {
    if (!viewer.sees(*zone)) continue;
    bool fits = zone->record.name == nameOrId ||
                (nameOrId.size() >= kLeastIdPrefix && zone->record.id.text().startsWith(nameOrId));
    if (fits) fitting.add(zone.get());
  }
  if (fitting.size() == 1) return kj::addRef(*fitting[0]);
  auto shown = printable(nameOrId, 80);
  if (fitting.size() > 1) {
    fail(FailureCode::INVALID, shown, "means several zones",
         "give more of the UUID: bulkhead zone list");
  }
  fail(FailureCode::NOT_FOUND, shown, "there is no such zone", "see: bulkhead zone list");
}

void Zones::taskFailed(kj::Exception&& exception) {
  services.log.error("a zone's life ended with an error",
                     {field("ERROR", failureOf(exception).describe())});
}

}  // namespace bulkhead
