// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "netd/addresses.h"
#include "netd/agent/vif-name.h"
#include "services/netlink/netlink-socket.h"

namespace bulkhead::net {

// A network interface, as the kernel tells.
struct Device {
  int index;  // unique in its network namespace
  kj::String name;
  bool up;
};

struct DeviceCounters {
  uint64_t receivedPackets;
  uint64_t transmittedPackets;
  uint64_t receivedBytes;
  uint64_t transmittedBytes;
};

// Links, addresses, neighbours and routes of one network namespace (rtnetlink(7)). Every change
// succeeds when things are as wanted already. Errors are kj exceptions with the kernel's error.
class RouteSocket {
 public:
  // Of the namespace this process is in; listens for links that come and go.
  RouteSocket();

  // Of the namespace the passed socket belongs to.
  explicit RouteSocket(kj::AutoCloseFd passed);

  kj::Maybe<Device> find(kj::StringPtr name);

  // Every device with the name of a vif.
  kj::Vector<Device> vifs();

  // Into the namespace that the descriptor stands for. The device is down afterwards.
  void moveToNamespace(int index, int namespaceFd);

  // Does nothing when it has that MTU.
  void setMtu(int index, uint32_t mtu);
  void setUp(int index);
  void setDown(int index);

  // `prefix` is the length of the network that is said to be on the link.
  void addAddress(int index, const IpAddress& address, unsigned prefix);

  // An entry that never expires and that no packet can change.
  void addNeighbour(int index, const IpAddress& address, const MacAddress& mac);

  // To this one address; replaces the route another device may have had for it.
  void addHostRoute(int index, const IpAddress& address);

  kj::Maybe<DeviceCounters> counters(int index);

  enum class Change { appeared, vanished };

  // Reads the events that are there; false when some were lost.
  bool takeChanges(kj::Function<void(Change, kj::StringPtr name)> receive);

  int fd() const { return socket.fd(); }

 private:
  NetlinkSocket socket;

  void setFlags(int index, unsigned flags);
};

}  // namespace bulkhead::net
