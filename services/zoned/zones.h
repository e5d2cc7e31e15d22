// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/map.h>

#include "services/runtime/progress.h"
#include "services/zoned/access.h"
#include "services/zoned/zone.h"

namespace bulkhead {

// Through whose eyes zones are looked at.
struct Viewer {
  uid_t user;
  Role role;

  bool sees(const Zone& zone) const {
    return role == Role::administrator || zone.record.owner == user;
  }
};

// All zones of this host.
class Zones final : private kj::TaskSet::ErrorHandler {
 public:
  explicit Zones(ZoneServices services);

  // Reads the store, takes up every zone's life again, and removes what no zone accounts for:
  // domains at hvd, addresses at netd. The latter goes on in the background until both answered.
  void reconcile();

  // Records a zone and starts making it. Fails with `invalid`, `alreadyExists`, `exhausted`.
  kj::Own<Zone> create(uid_t owner, schema::ZoneSpec::Reader spec,
                       kj::Maybe<schema::ProgressSink::Client> progress);

  // Those the viewer may see, oldest first.
  kj::Vector<kj::Own<Zone>> list(const Viewer& viewer);

  // By name (the viewer's own before those of others), UUID, or the start of one. Fails with
  // `notFound`, or `invalid` where the text fits several.
  kj::Own<Zone> find(const Viewer& viewer, kj::StringPtr nameOrId);

 private:
  ZoneServices services;
  kj::Vector<kj::Own<Zone>> zones;  // oldest first
  kj::TaskSet lives;

  Zone& add(ZoneRecord record);
  void live(Zone& zone, kj::Promise<void> life);
  kj::Maybe<Zone&> named(uid_t owner, kj::StringPtr name);
  kj::Promise<void> removeUnknownDomains();
  kj::Promise<void> releaseUnknownAddresses();
  void taskFailed(kj::Exception&& exception) override;
};

}  // namespace bulkhead
