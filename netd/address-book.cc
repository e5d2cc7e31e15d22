// SPDX-License-Identifier: Apache-2.0
#include "netd/address-book.h"

#include <sys/stat.h>
#include <unistd.h>

#include <kj/debug.h>
#include <kj/vector.h>

#include "services/runtime/failure.h"

namespace bulkhead::net {
namespace {

// How many of the addresses given back last are not handed out again yet.
constexpr size_t kResting = 1024;

// Interface names have 15 characters: "vif32751.999999".
constexpr uint32_t kLastIndex = 999'999;

// A row is a zone that is or was on the network. `released` is null while it holds the lease that
// the other columns describe; afterwards it says in which order addresses were given back.
constexpr kj::StringPtr kSchema = R"sql(
  CREATE TABLE IF NOT EXISTS zone (
    uuid BLOB PRIMARY KEY NOT NULL,
    vif_index INTEGER NOT NULL,
    mac TEXT NOT NULL,
    v4 TEXT NOT NULL,
    v6 TEXT NOT NULL,
    mtu INTEGER NOT NULL,
    domid INTEGER,
    released INTEGER
  ) STRICT;
  CREATE UNIQUE INDEX IF NOT EXISTS zone_mac ON zone (mac) WHERE released IS NULL;
  CREATE UNIQUE INDEX IF NOT EXISTS zone_v4 ON zone (v4) WHERE released IS NULL;
  CREATE UNIQUE INDEX IF NOT EXISTS zone_v6 ON zone (v6) WHERE released IS NULL;
)sql"_kj;
constexpr int64_t kSchemaVersion = 1;

kj::String storePath(kj::StringPtr directory) {
  struct stat status{};
  if (stat(directory.cStr(), &status) != 0 || !S_ISDIR(status.st_mode)) {
    fail(FailureCode::INTERNAL, directory, "the state directory is missing",
         "it is made by the service's unit (StateDirectory=)");
  }
  if (status.st_uid != geteuid()) {
    fail(FailureCode::INTERNAL, directory, "the state directory belongs to another user",
         "is the file system that holds it mounted?");
  }
  return kj::str(directory, "/addresses.db");
}

NumberPool makePool(const AddressRanges& ranges) {
  // Neither the network's own number nor, for IPv4, the broadcast address.
  uint32_t last = ranges.v4.lastNumber();
  KJ_REQUIRE(last >= 3 && ranges.v6.lastNumber() >= last, "the address ranges are too small",
             ranges.v4, ranges.v6);
  return NumberPool(1, last - 1, kResting);
}

template <typename T>
T stored(kj::Maybe<T> value, kj::StringPtr column) {
  KJ_IF_MAYBE (present, value) {
    return kj::mv(*present);
  }
  fail(FailureCode::CORRUPT, "address store",
       kj::str("the column ", column, " has no valid value"));
}

uint32_t storedNumber(int64_t value, uint32_t most, kj::StringPtr column) {
  if (value < 0 || value > most) stored<int>(nullptr, column);
  return static_cast<uint32_t>(value);
}

}  // namespace

AddressBook::AddressBook(kj::StringPtr directory, const AddressRanges& rangesParam)
    : ranges(rangesParam), pool(makePool(ranges)), database(storePath(directory)) {
  int64_t version = 0;
  {
    Statement statement(database, "PRAGMA user_version");
    while (statement.step()) version = statement.number(0);
  }
  if (version > kSchemaVersion) {
    fail(FailureCode::CORRUPT, "address store", "a later version of this program has written it");
  }
  // Written at each start: a store that takes no writes shall fail now, not at the first zone.
  database.transaction([&]() {
    database.execute(kSchema);
    database.execute(kj::str("PRAGMA user_version=", kSchemaVersion));
  });
  load();
}

void AddressBook::load() {
  Statement rows(database,
                 "SELECT uuid, vif_index, mac, v4, v6, mtu, domid, released FROM zone"
                 " ORDER BY released");  // null sorts first: leases before what rests
  while (rows.step()) {
    auto zone = stored(Uuid::from(rows.blob(0)), "uuid");
    uint32_t index = storedNumber(rows.number(1), kLastIndex, "vif_index");
    auto v4 = stored(IpAddress::parse(rows.text(3)), "v4");
    nextIndex.insert(zone, index + 1);
    if (!rows.isNull(7)) {
      KJ_IF_MAYBE (number, numberOf(v4)) {
        if (pool.isFree(*number)) pool.noteResting(*number);
      }
      continue;
    }
    Lease lease{zone,
                index,
                stored(MacAddress::parse(rows.text(2)), "mac"),
                v4,
                stored(IpAddress::parse(rows.text(4)), "v6"),
                storedNumber(rows.number(5), UINT16_MAX, "mtu"),
                nullptr};
    if (!rows.isNull(6)) lease.domid = storedNumber(rows.number(6), UINT16_MAX, "domid");
    for (uint32_t number : numbersOf(lease)) {
      if (pool.isFree(number)) pool.take(number);
    }
    current.insert(zone, kj::mv(lease));
  }
}

kj::Maybe<uint32_t> AddressBook::numberOf(const IpAddress& address) const {
  auto& range = address.family == IpAddress::Family::v4 ? ranges.v4 : ranges.v6;
  KJ_IF_MAYBE (number, range.numberOf(address)) {
    if (pool.contains(*number)) return *number;
  }
  return nullptr;
}

kj::Vector<uint32_t> AddressBook::numbersOf(const Lease& lease) const {
  kj::Vector<uint32_t> result;
  for (auto& address : {lease.v4, lease.v6}) {
    KJ_IF_MAYBE (number, numberOf(address)) {
      if (result.size() == 0 || result[0] != *number) result.add(*number);
    }
  }
  return result;
}

bool AddressBook::holds(uint32_t number) const {
  for (auto& entry : current) {
    for (uint32_t held : numbersOf(entry.value)) {
      if (held == number) return true;
    }
  }
  return false;
}

uint32_t AddressBook::chooseNumber(const LeaseRequest& request) const {
  KJ_IF_MAYBE (wanted, request.address) {
    KJ_IF_MAYBE (number, numberOf(*wanted)) {
      if (pool.isFree(*number)) return *number;
      fail(FailureCode::ALREADY_EXISTS, wanted->text(), "another zone has this address");
    }
    fail(FailureCode::INVALID, wanted->text(), "the address is in no range of this host",
         kj::str("the ranges are ", ranges.v4, " and ", ranges.v6));
  }
  KJ_IF_MAYBE (number, pool.next()) {
    return *number;
  }
  fail(FailureCode::EXHAUSTED, ranges.v4.text(), "every address is in use",
       "configure a larger range or remove zones");
}

bool AddressBook::macTaken(const MacAddress& mac) const {
  for (auto& entry : current) {
    if (entry.value.mac == mac) return true;
  }
  return false;
}

MacAddress AddressBook::chooseMac(const LeaseRequest& request) const {
  KJ_IF_MAYBE (wanted, request.mac) {
    if (!wanted->isInterfaceAddress()) {
      fail(FailureCode::INVALID, wanted->text(), "an interface cannot have this MAC address");
    }
    if (macTaken(*wanted)) {
      fail(FailureCode::ALREADY_EXISTS, wanted->text(), "another zone has this MAC address");
    }
    return *wanted;
  }
  for (;;) {
    auto mac = MacAddress::random();
    if (!macTaken(mac)) return mac;
  }
}

void AddressBook::requireSame(const Lease& lease, const LeaseRequest& request) const {
  KJ_IF_MAYBE (wanted, request.address) {
    if (*wanted != lease.v4 && *wanted != lease.v6) {
      fail(FailureCode::ALREADY_EXISTS, lease.v4.text(), "the zone has another address already",
           "release it first");
    }
  }
  KJ_IF_MAYBE (wanted, request.mac) {
    if (*wanted != lease.mac) {
      fail(FailureCode::ALREADY_EXISTS, lease.mac.text(), "the zone has another MAC already",
           "release it first");
    }
  }
}

const Lease& AddressBook::attach(const Uuid& zone, const LeaseRequest& request) {
  KJ_IF_MAYBE (lease, current.find(zone)) {
    requireSame(*lease, request);
    return *lease;
  }
  uint32_t number = chooseNumber(request);
  Lease lease{zone,
              nextIndex.find(zone).orDefault(0),
              chooseMac(request),
              ranges.v4.at(number),
              ranges.v6.at(number),
              request.mtu,
              nullptr};
  if (lease.index > kLastIndex) {
    fail(FailureCode::EXHAUSTED, zone.text(), "the zone was attached too often",
         "remove the zone and make it anew");
  }
  database.transaction([&]() {
    Statement statement(database,
                        "INSERT OR REPLACE INTO zone"
                        " (uuid, vif_index, mac, v4, v6, mtu) VALUES (?, ?, ?, ?, ?, ?)");
    statement.bind(1, zone.data()).bind(2, lease.index).bind(3, lease.mac.text());
    statement.bind(4, lease.v4.text()).bind(5, lease.v6.text()).bind(6, lease.mtu);
    statement.run();
  });
  pool.take(number);
  nextIndex.upsert(zone, lease.index + 1);
  return current.insert(zone, kj::mv(lease)).value;
}

kj::Maybe<const Lease&> AddressBook::find(const Uuid& zone) const { return current.find(zone); }

const Lease& AddressBook::get(const Uuid& zone, uint32_t index) const {
  KJ_IF_MAYBE (lease, current.find(zone)) {
    if (lease->index == index) return *lease;
  }
  fail(FailureCode::NOT_FOUND, zone.text(), "the attachment was released");
}

void AddressBook::setDomain(const Uuid& zone, uint32_t index, uint32_t domid) {
  get(zone, index);
  database.transaction([&]() {
    Statement clear(database, "UPDATE zone SET domid = NULL WHERE domid = ?");
    clear.bind(1, domid).run();
    Statement set(database, "UPDATE zone SET domid = ? WHERE uuid = ?");
    set.bind(1, domid).bind(2, zone.data()).run();
  });
  for (auto& entry : current) {
    if (entry.value.domid == domid) entry.value.domid = nullptr;
  }
  KJ_ASSERT_NONNULL(current.find(zone)).domid = domid;
}

bool AddressBook::release(const Uuid& zone, uint32_t index) {
  KJ_IF_MAYBE (lease, current.find(zone)) {
    if (lease->index != index) return false;
    database.transaction([&]() {
      Statement statement(database,
                          "UPDATE zone SET domid = NULL, released ="
                          " (SELECT coalesce(max(released), 0) + 1 FROM zone) WHERE uuid = ?");
      statement.bind(1, zone.data()).run();
    });
    auto numbers = numbersOf(*lease);
    current.erase(zone);
    for (uint32_t number : numbers) {
      if (!holds(number)) pool.giveBack(number);
    }
    return true;
  }
  return false;
}

void AddressBook::forget(const Uuid& zone) {
  KJ_REQUIRE(current.find(zone) == nullptr, "the zone holds a lease");
  database.transaction([&]() {
    Statement statement(database, "DELETE FROM zone WHERE uuid = ? AND released NOT NULL");
    statement.bind(1, zone.data()).run();
  });
  nextIndex.erase(zone);
}

kj::Array<Uuid> AddressBook::zones() const {
  kj::Vector<Uuid> result;
  for (auto& entry : nextIndex) result.add(entry.key);
  return result.releaseAsArray();
}

kj::Array<const Lease*> AddressBook::leases() const {
  kj::Vector<const Lease*> result;
  for (auto& entry : current) result.add(&entry.value);
  return result.releaseAsArray();
}

}  // namespace bulkhead::net
