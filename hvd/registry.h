// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/map.h>

#include "hvd/creation.h"
#include "hvd/domain.h"

namespace bulkhead::hvd {

// All domains of Bulkhead on this host. Nothing else on the host is touched: a domain is ours when
// its UUID is in the journal.
class Registry final : private kj::TaskSet::ErrorHandler {
 public:
  explicit Registry(Machine& machine);
  KJ_DISALLOW_COPY_AND_MOVE(Registry);

  // Brings journal, hypervisor and xenstore into agreement: adopts what is complete, destroys what
  // was begun or was being ended, clears what is left of the dead. To be awaited before serving.
  kj::Promise<void> reconcile();

  // Keeps the domains informed of what happens to them; never returns.
  kj::Promise<void> watch();

  struct Created {
    kj::Own<Domain> domain;
    kj::Vector<BuildPhase> phases;
  };

  // Dropping the promise undoes the creation.
  kj::Promise<Created> create(DomainConfig config, DomainFiles files);

  kj::Vector<kj::Own<Domain>> list();
  size_t size() const { return domains.size(); }

  // Whether the hypervisor still has room for what hvd begins.
  void requireControl();

 private:
  Machine& machine;
  kj::TreeMap<Uuid, kj::Own<Domain>> domains;
  kj::TreeSet<Uuid> beingCreated;
  kj::Maybe<kj::Own<kj::PromiseFulfiller<void>>> awaited;  // the first domain on an empty host
  kj::TaskSet tasks;

  Domain& add(JournalRecord record);
  kj::Promise<void> reconcileOne(JournalRecord record, kj::ArrayPtr<const DomainFacts> present);
  kj::Promise<void> clearRemains(JournalRecord record);
  kj::Promise<void> carryOut(DomainConfig config, DomainFiles files,
                             kj::Own<kj::PromiseFulfiller<Created>> fulfiller);
  kj::Promise<void> untilOneIsThere();
  kj::Promise<void> watchReleases();
  void lookAtAll();
  void taskFailed(kj::Exception&& exception) override;
};

}  // namespace bulkhead::hvd
