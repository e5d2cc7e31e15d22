// SPDX-License-Identifier: Apache-2.0
#include "hvd/registry.h"

#include <kj/debug.h>

#include "services/runtime/failure.h"

namespace bulkhead::hvd {
namespace {

// Release events can get lost with a guest that breaks its ring; this is the safety net.
constexpr kj::Duration kLookAnyway = 5 * kj::SECONDS;

}  // namespace

Registry::Registry(Machine& machine) : machine(machine), tasks(*this) {}

Domain& Registry::add(JournalRecord record) {
  auto uuid = record.uuid;
  auto domain = kj::refcounted<Domain>(machine, kj::mv(record), [this](const Uuid& gone) {
    // Not under the feet of the domain that calls.
    tasks.add(kj::evalLater([this, gone]() { domains.erase(gone); }));
  });
  auto& result = *domain;
  domains.insert(uuid, kj::mv(domain));
  KJ_IF_MAYBE (fulfiller, awaited) {
    (*fulfiller)->fulfill();
  }
  return result;
}

kj::Promise<void> Registry::reconcile() {
  auto records = machine.journal.takeRecords();
  if (records.empty()) co_return;
  auto present = machine.xen.domains();
  for (auto& record : records) {
    auto uuid = record.uuid;
    try {
      co_await reconcileOne(kj::mv(record), present);
    } catch (...) {
      // One that cannot be settled now must not keep the others from being served.
      machine.log.error("a domain of the journal could not be settled",
                        {field("DOMAIN", uuid),
                         field("ERROR", failureOf(kj::getCaughtExceptionAsKj()).describe())});
    }
  }
}

kj::Promise<void> Registry::reconcileOne(JournalRecord record,
                                         kj::ArrayPtr<const DomainFacts> present) {
  using State = JournalRecord::State;
  kj::Maybe<const DomainFacts&> found;
  for (auto& facts : present) {
    if (facts.is(record.uuid)) found = facts;
  }
  KJ_IF_MAYBE (facts, found) {
    bool complete = record.state == State::ALIVE && !facts->dying;
    machine.log.info(complete ? "adopting a domain" : "destroying an unfinished domain",
                     {field("DOMAIN", record.uuid), field("DOMID", facts->domid)});
    record.domid = facts->domid;
    auto& domain = add(kj::mv(record));
    if (complete) {
      domain.open();
      domain.observe(*facts);
      co_return;
    }
    co_await domain.destroy();
    co_return;
  }
  machine.log.info("clearing after a domain that is gone", {field("DOMAIN", record.uuid)});
  co_await clearRemains(kj::mv(record));
}

kj::Promise<void> Registry::clearRemains(JournalRecord record) {
  // A domain begun and lost has no number in the journal: its nodes name the UUID.
  auto wanted = kj::str("/vm/", record.uuid);
  for (auto& name : co_await machine.xenstore.list("/local/domain")) {
    auto number = parseStrictly(name);
    KJ_IF_MAYBE (domid, number) {
      auto vm = co_await machine.xenstore.read(kj::str(domainPath(*domid), "/vm"));
      KJ_IF_MAYBE (path, vm) {
        if (*path == wanted) record.domid = *domid;
      }
    }
  }
  if (record.domid == 0) {
    co_await machine.xenstore.commit(kj::arr(removeNode(wanted)));
    co_await machine.journal.remove(record.uuid);
    co_return;
  }
  co_await add(kj::mv(record)).destroy();
}

kj::Promise<void> Registry::watch() {
  tasks.add(watchReleases());
  for (;;) {
    // An idle host is left in peace: nothing happens to domains that are not there.
    if (domains.size() == 0) co_await untilOneIsThere();
    co_await machine.timer.afterDelay(kLookAnyway);
    lookAtAll();
  }
}

kj::Promise<void> Registry::untilOneIsThere() {
  auto pair = kj::newPromiseAndFulfiller<void>();
  awaited = kj::mv(pair.fulfiller);
  return kj::mv(pair.promise);
}

kj::Promise<void> Registry::watchReleases() {
  auto watch = machine.xenstore.watch("@releaseDomain");
  for (;;) {
    co_await watch->next();
    watch->skipPending();
    lookAtAll();
  }
}

void Registry::lookAtAll() {
  auto present = machine.xen.domains();
  for (auto& domain : list()) {
    kj::Maybe<const DomainFacts&> found;
    for (auto& facts : present) {
      if (facts.is(domain->uuid())) found = facts;
    }
    domain->observe(found);
  }
}

kj::Vector<kj::Own<Domain>> Registry::list() {
  kj::Vector<kj::Own<Domain>> result;
  for (auto& entry : domains) result.add(kj::addRef(*entry.value));
  return result;
}

void Registry::requireControl() {
  if (machine.xenstore.healthy()) return;
  fail(FailureCode::UNREACHABLE, "xenstored", "it does not answer: no new work is begun",
       "running zones go on; restart the host when convenient");
}

kj::Promise<Registry::Created> Registry::create(DomainConfig config, DomainFiles files) {
  requireControl();
  if (domains.find(config.uuid) != nullptr || beingCreated.find(config.uuid) != nullptr) {
    fail(FailureCode::ALREADY_EXISTS, config.uuid.text(), "a domain has this UUID");
  }
  beingCreated.insert(config.uuid);
  auto paf = kj::newPromiseAndFulfiller<Created>();
  tasks.add(carryOut(kj::mv(config), kj::mv(files), kj::mv(paf.fulfiller)));
  return kj::mv(paf.promise);
}

kj::Promise<void> Registry::carryOut(DomainConfig config, DomainFiles files,
                                     kj::Own<kj::PromiseFulfiller<Created>> fulfiller) {
  auto uuid = config.uuid;
  kj::Own<Domain> domain;
  try {
    auto creation = co_await createDomain(machine, kj::mv(config), kj::mv(files));
    beingCreated.eraseMatch(uuid);
    domain = kj::addRef(add(kj::mv(creation.record)));
    for (auto& holder : creation.diskHolders) domain->hold(holder.device, kj::mv(holder.fd));
    domain->open();
    if (fulfiller->isWaiting()) {
      fulfiller->fulfill(Created{kj::mv(domain), kj::mv(creation.phases)});
      co_return;
    }
  } catch (...) {
    beingCreated.eraseMatch(uuid);
    fulfiller->reject(kj::getCaughtExceptionAsKj());
    co_return;
  }
  machine.log.warning("a creation's caller went away, undoing it", {field("DOMAIN", uuid)});
  co_await domain->destroy();
}

void Registry::taskFailed(kj::Exception&& exception) {
  machine.log.error("a task of the registry failed",
                    {field("ERROR", failureOf(exception).describe())});
}

}  // namespace bulkhead::hvd
