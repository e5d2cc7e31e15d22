// SPDX-License-Identifier: Apache-2.0
#include "netd/agent/link-table.h"

#include <kj/debug.h>

#include "services/runtime/failure.h"

namespace bulkhead::net {
namespace {

const IpAddress& gateway4() {
  static const IpAddress address = KJ_ASSERT_NONNULL(IpAddress::parse("169.254.1.1"));
  return address;
}

const IpAddress& gateway6() {
  static const IpAddress address = KJ_ASSERT_NONNULL(IpAddress::parse("fe80::1"));
  return address;
}

bool sameSender(const Sender& a, const Sender& b) {
  return a.mac == b.mac && a.addresses.asPtr() == b.addresses.asPtr();
}

}  // namespace

LinkTable::LinkTable(RouteSocket& own, RouteSocket& host, FilterSocket& filter, int ownNamespace,
                     Log& log)
    : own(own), host(host), filter(filter), ownNamespace(ownNamespace), log(log) {}

kj::Own<LinkTable::Entry> LinkTable::makeEntry(Link link) {
  auto sender = Sender{link.name.text(), link.mac, link.addresses.releaseAsArray()};
  return kj::heap<Entry>(Entry{link.name, kj::mv(sender), link.mtu, Entry::State::awaited, 0, {}});
}

// In our own namespace, fetched from the host's if it is there.
kj::Maybe<Device> LinkTable::findDevice(kj::StringPtr name) {
  KJ_IF_MAYBE (device, own.find(name)) {
    return kj::mv(*device);
  }
  KJ_IF_MAYBE (device, host.find(name)) {
    host.moveToNamespace(device->index, ownNamespace);
    return own.find(name);
  }
  return nullptr;
}

// Whether it is set up; false when there is no device yet. Throws when a step failed.
bool LinkTable::setUp(Entry& entry) {
  entry.state = Entry::State::awaited;
  KJ_ON_SCOPE_FAILURE(entry.state = Entry::State::failed);
  int index;
  KJ_IF_MAYBE (device, findDevice(entry.sender.vif)) {
    index = device->index;
  } else {
    return false;
  }
  KJ_ON_SCOPE_FAILURE({
    // The filter holds all the same: a link that cannot be taken down is silent at worst.
    try {
      own.setDown(index);
    } catch (...) {
      log.error("a link that failed could not be taken down",
                {field("LINK", entry.sender.vif),
                 field("ERROR", kj::getCaughtExceptionAsKj().getDescription())});
    }
  });
  filter.admit(entry.sender);
  own.setMtu(index, entry.mtu);
  own.addAddress(index, gateway4(), gateway4().bits());
  own.addAddress(index, gateway6(), 64);
  own.setUp(index);
  // Only a link that is up takes these. No packet can have come through without them: the way back
  // to the zone is not known yet.
  own.addNeighbour(index, linkLocal(entry.sender.mac), entry.sender.mac);
  for (auto& address : entry.sender.addresses) {
    own.addNeighbour(index, address, entry.sender.mac);
    own.addHostRoute(index, address);
  }
  entry.device = index;
  entry.state = Entry::State::ready;
  return true;
}

void LinkTable::settle(Entry& entry, kj::Maybe<kj::Exception> problem) {
  auto waiting = kj::mv(entry.waiting);
  entry.waiting = {};
  for (auto& fulfiller : waiting) {
    KJ_IF_MAYBE (exception, problem) {
      fulfiller->reject(kj::cp(*exception));
    } else {
      fulfiller->fulfill();
    }
  }
}

void LinkTable::trySetUp(Entry& entry) {
  try {
    if (setUp(entry)) settle(entry, nullptr);
  } catch (...) {
    auto exception = kj::getCaughtExceptionAsKj();
    log.error("a link could not be configured and is down",
              {field("LINK", entry.sender.vif), field("ERROR", exception.getDescription())});
    settle(entry, kj::mv(exception));
  }
}

void LinkTable::takeDown(Entry& entry) {
  entry.state = Entry::State::awaited;
  KJ_IF_MAYBE (device, own.find(entry.sender.vif)) {
    own.setDown(device->index);
  }
  filter.refuse(entry.sender);
}

void LinkTable::replaceAll(kj::Vector<Link> wanted) {
  kj::HashMap<kj::String, kj::Own<Entry>> fresh;
  kj::Vector<const Sender*> senders;
  for (auto& link : wanted) {
    auto entry = makeEntry(kj::mv(link));
    auto name = kj::str(entry->sender.vif);
    senders.add(&entry->sender);
    KJ_IF_MAYBE (former, links.find(name)) {
      entry->waiting = kj::mv((*former)->waiting);
    }
    fresh.insert(kj::mv(name), kj::mv(entry));
  }
  // Links that are not wanted any more go down before the filter forgets them.
  for (auto& device : own.vifs()) {
    if (fresh.find(device.name) == nullptr && device.up) own.setDown(device.index);
  }
  filter.replaceAll(senders);
  links = kj::mv(fresh);
  for (auto& entry : links) trySetUp(*entry.value);
  handleEvents();
}

kj::Promise<void> LinkTable::configure(Link link) {
  auto entry = makeEntry(kj::mv(link));
  auto name = kj::str(entry->sender.vif);
  auto paf = kj::newPromiseAndFulfiller<void>();
  KJ_IF_MAYBE (former, links.find(name)) {
    entry->waiting = kj::mv((*former)->waiting);
    if (!sameSender((*former)->sender, entry->sender)) takeDown(**former);
  }
  entry->waiting.add(kj::mv(paf.fulfiller));
  auto& added = *entry;
  links.upsert(kj::mv(name), kj::mv(entry),
               [](kj::Own<Entry>& old, kj::Own<Entry>&& next) { old = kj::mv(next); });
  trySetUp(added);
  handleEvents();
  return kj::mv(paf.promise);
}

void LinkTable::remove(const VifName& name) {
  auto text = name.text();
  KJ_IF_MAYBE (entry, links.find(text)) {
    takeDown(**entry);
    settle(**entry, failure(FailureCode::CANCELLED, text, "the link was removed").toException());
    links.erase(text);
  }
  if (own.find(text) == nullptr) filter.unhook(text);
  handleEvents();
}

kj::Maybe<LinkCounters> LinkTable::counters(const VifName& name) {
  KJ_IF_MAYBE (entry, links.find(name.text())) {
    if ((*entry)->state == Entry::State::ready) {
      KJ_IF_MAYBE (device, own.counters((*entry)->device)) {
        return LinkCounters{*device, filter.dropped((*entry)->sender.vif).orDefault(0)};
      }
    }
  }
  return nullptr;
}

void LinkTable::handleChange(RouteSocket& where, RouteSocket::Change change, kj::StringPtr name) {
  auto found = links.find(name);
  if (found == nullptr) {
    bool gone = change == RouteSocket::Change::vanished && &where == &own;
    if (gone && VifName::parse(name) != nullptr) filter.unhook(name);
    return;
  }
  auto& entry = KJ_ASSERT_NONNULL(found);
  if (change == RouteSocket::Change::vanished) {
    // From the host's namespace: it was moved, most likely by ourselves.
    if (&where == &own && own.find(name) == nullptr) entry->state = Entry::State::awaited;
  } else if (entry->state == Entry::State::awaited) {
    trySetUp(*entry);
  }
}

void LinkTable::handleEvents() {
  // Handling an event makes requests, and those may bring further events in.
  for (bool any = true; any;) {
    any = false;
    for (auto* socket : {&own, &host}) {
      bool complete = socket->takeChanges([&](RouteSocket::Change change, kj::StringPtr name) {
        any = true;
        handleChange(*socket, change, name);
      });
      if (complete) continue;
      log.warning("events about links were lost; looking at all of them");
      for (auto& entry : links) trySetUp(*entry.value);
    }
  }
}

}  // namespace bulkhead::net
