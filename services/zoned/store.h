// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "services/sqlite/database.h"
#include "services/zoned/record.h"

namespace bulkhead {

// What a launch does to the world and may have to undo. Journaled before it is begun.
enum class Step {
  network,  // netd holds addresses for the zone
  domain,   // hvd has, or may have, a domain with the zone's UUID
};

kj::StringPtr stepName(Step step);

// The zones and the journal of their steps, in SQLite. Every change is on the disk when the call
// returns. Layout changes are migrations: numbered, applied once, in order, in a transaction each.
class Store {
 public:
  // Opens or makes DIRECTORY/zones.db. Fails with `corrupt` when it was written by a later version.
  explicit Store(kj::StringPtr directory);

  // Writes the record, new or changed.
  void put(ZoneRecord& record);

  void forget(const Uuid& zone);

  void begin(const Uuid& zone, Step step);
  void undone(const Uuid& zone, Step step);
  bool begun(const Uuid& zone, Step step);

  // All records, oldest first.
  kj::Vector<ZoneRecord> load();

  // The number of the layout that this version writes.
  static int64_t currentVersion();

 private:
  Database database;

  void migrate();
};

}  // namespace bulkhead
