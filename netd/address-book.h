// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/map.h>
#include <kj/vector.h>

#include "netd/addresses.h"
#include "netd/number-pool.h"
#include "services/runtime/uuid.h"
#include "services/sqlite/database.h"

namespace bulkhead::net {

// What addresses are handed out of.
struct AddressRanges {
  IpRange v4;  // every zone gets one address of each, with the same number in both ranges
  IpRange v6;
};

// One zone's place on the network.
struct Lease {
  Uuid zone;
  uint32_t index;  // of the vif; grows with every lease of a zone
  MacAddress mac;
  IpAddress v4;
  IpAddress v6;
  uint32_t mtu;
  kj::Maybe<uint32_t> domid;  // the domain whose vif it was connected to last
};

struct LeaseRequest {
  kj::Maybe<IpAddress> address;  // of either family; the other follows from it
  kj::Maybe<MacAddress> mac;
  uint32_t mtu = 1500;
};

// Who has which address. Every change is on disk, power cut or not, when the call returns; a call
// that throws has changed nothing. Failures are typed: `exhausted`, `alreadyExists`, `invalid`,
// `notFound`, `corrupt`.
class AddressBook {
 public:
  // Opens or creates the store in `directory`, which must exist and belong to this process's user:
  // a state directory that is not mounted yet must not look like an empty network. Leases outside
  // of `ranges`, from before a change of the configuration, stay valid until they are released.
  AddressBook(kj::StringPtr directory, const AddressRanges& ranges);

  // The zone's lease; made now if there is none. An existing one is returned as it is, and
  // `alreadyExists` thrown when the request wants another address or MAC than it has.
  const Lease& attach(const Uuid& zone, const LeaseRequest& request);

  kj::Maybe<const Lease&> find(const Uuid& zone) const;

  // The zone's lease with that index; throws `notFound` when it was released.
  const Lease& get(const Uuid& zone, uint32_t index) const;

  // Remembers which domain the lease's vif belongs to. Whatever lease named that domain before
  // loses it: Xen has reused the number, so that the former domain is dead.
  void setDomain(const Uuid& zone, uint32_t index, uint32_t domid);

  // Gives the lease's addresses back. False when there was none with that index.
  bool release(const Uuid& zone, uint32_t index);

  // Forgets a zone for good, the number of its next vif included. It must have no lease.
  void forget(const Uuid& zone);

  // All zones known: with a lease, or with one in the past.
  kj::Array<Uuid> zones() const;

  // Valid until the next change.
  kj::Array<const Lease*> leases() const;

  uint64_t used() const { return current.size(); }
  uint64_t available() const { return pool.available(); }
  const AddressRanges& addressRanges() const { return ranges; }

 private:
  AddressRanges ranges;
  NumberPool pool;
  Database database;
  kj::TreeMap<Uuid, Lease> current;
  kj::TreeMap<Uuid, uint32_t> nextIndex;

  void load();
  uint32_t chooseNumber(const LeaseRequest& request) const;
  kj::Maybe<uint32_t> numberOf(const IpAddress& address) const;
  // Both addresses of a lease have the same number, except after a change of the ranges.
  kj::Vector<uint32_t> numbersOf(const Lease& lease) const;
  bool holds(uint32_t number) const;
  MacAddress chooseMac(const LeaseRequest& request) const;
  bool macTaken(const MacAddress& mac) const;
  void requireSame(const Lease& lease, const LeaseRequest& request) const;
};

}  // namespace bulkhead::net
