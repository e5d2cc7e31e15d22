// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async-unix.h>

#include "schemas/network.capnp.h"
#include "services/netlink/netlink-socket.h"
#include "services/runtime/log.h"
#include "zoneinit/agent/route-socket.h"

namespace bulkhead::zone {

// One interface as it shall be.
struct InterfaceConfig {
  MacBytes mac;
  kj::Array<IpPrefix> addresses;
  kj::Array<IpBytes> gateways;
  uint32_t mtu;
};

// Fails with `invalid`, naming the field.
InterfaceConfig readInterface(schema::InterfacePlan::Reader plan);

// Keeps the zone's links as they were asked to be, also those that appear later: a link that the
// driver zone lost and gave back is a new one with the same MAC address.
class Interfaces {
 public:
  Interfaces(kj::UnixEventPort& eventPort, Log& log);

  // Applies to the links that are there; the rest when they appear. Throws where the kernel
  // refuses.
  void configure(kj::Array<InterfaceConfig> wanted);

  // Follows the kernel's links for ever.
  kj::Promise<void> run();

 private:
  Log& log;
  RouteSocket route;
  NetlinkSocket monitor;
  kj::UnixEventPort::FdObserver observer;
  kj::Array<InterfaceConfig> wanted;

  void apply(const LinkInfo& link, const InterfaceConfig& config);
  void applyAll();
  bool drainMonitor();
};

}  // namespace bulkhead::zone
