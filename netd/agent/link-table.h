// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async.h>
#include <kj/map.h>

#include "netd/agent/filter-socket.h"
#include "netd/agent/route-socket.h"
#include "netd/agent/vif-name.h"
#include "services/runtime/log.h"

namespace bulkhead::net {

// How a vif is to be set up.
struct Link {
  VifName name;
  MacAddress mac;  // the zone's
  kj::Vector<IpAddress> addresses;
  uint32_t mtu;
};

struct LinkCounters {
  DeviceCounters device;
  uint64_t droppedSpoofed;
};

// The links there should be, and what has to be done to the kernel for it. The back end makes every
// vif in the host's network namespace, down; from there a planned one is taken into our own, and
// set up there: filters first, then addresses, then up, then neighbours and routes. When a step
// fails the link is taken down again. A vif that nobody planned is left where it is.
//
// Every method looks at what is and does what is missing, so that the order in which links, events
// and plans arrive does not matter, nor whether a former process had done a part of it already.
class LinkTable {
 public:
  // `own` and `filter` belong to this process's network namespace, which `ownNamespace` stands for;
  // `host` to the one where vifs appear.
  LinkTable(RouteSocket& own, RouteSocket& host, FilterSocket& filter, int ownNamespace, Log& log);
  KJ_DISALLOW_COPY_AND_MOVE(LinkTable);

  // These links and no others. Those whose device is there are set up when it returns; a failure of
  // one is logged and leaves that one down.
  void replaceAll(kj::Vector<Link> links);

  // Adds or replaces a link. Resolves when it is set up: at once, or when its device appears.
  // Throws when a step fails; the plan holds nevertheless, and is tried again when the device
  // comes anew or when it is asked for again.
  kj::Promise<void> configure(Link link);

  // Takes the link down and its filter entries away. Nothing happens when there is none.
  void remove(const VifName& name);

  // Null when the link is not set up.
  kj::Maybe<LinkCounters> counters(const VifName& name);

  // Handles what the kernel has told meanwhile, and what it told during the other methods.
  void handleEvents();

 private:
  struct Entry {
    VifName name;
    Sender sender;
    uint32_t mtu;
    // A failed link is not tried again at every event: taking it down is an event as well.
    enum class State { awaited, ready, failed } state;
    int device;  // its index, when ready
    kj::Vector<kj::Own<kj::PromiseFulfiller<void>>> waiting;
  };

  RouteSocket& own;
  RouteSocket& host;
  FilterSocket& filter;
  int ownNamespace;
  Log& log;
  kj::HashMap<kj::String, kj::Own<Entry>> links;

  static kj::Own<Entry> makeEntry(Link link);
  kj::Maybe<Device> findDevice(kj::StringPtr name);
  bool setUp(Entry& entry);
  void trySetUp(Entry& entry);
  void settle(Entry& entry, kj::Maybe<kj::Exception> problem);
  void takeDown(Entry& entry);
  void handleChange(RouteSocket& where, RouteSocket::Change change, kj::StringPtr name);
};

}  // namespace bulkhead::net
