// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/agent/interfaces.h"

#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <unistd.h>

#include <algorithm>

#include <kj/debug.h>
#include <kj/vector.h>

#include "services/runtime/failure.h"

namespace bulkhead::zone {
namespace {

constexpr uint32_t kMostAddresses = 64;

// The driver zone is not asked for addresses: dom0 says what they are.
void refuseAdvertisements(kj::StringPtr interface) {
  auto path = kj::str("/proc/sys/net/ipv6/conf/", interface, "/accept_ra");
  int raw = open(path.cStr(), O_WRONLY | O_CLOEXEC);
  if (raw < 0) return;  // a kernel without IPv6 hears none
  kj::AutoCloseFd fd(raw);
  (void)!write(fd, "0", 1);
}

[[noreturn]] void invalid(kj::StringPtr field, kj::StringPtr value) {
  fail(FailureCode::INVALID, field, kj::str("not understood: ", printable(value, 64)));
}

}  // namespace

InterfaceConfig readInterface(schema::InterfacePlan::Reader plan) {
  InterfaceConfig config{};
  KJ_IF_MAYBE (mac, parseMac(plan.getMac())) {
    config.mac = *mac;
  } else {
    invalid("interfaces.mac", plan.getMac());
  }
  if (plan.getAddresses().size() > kMostAddresses || plan.getGateways().size() > kMostAddresses) {
    fail(FailureCode::INVALID, "interfaces", "too many addresses");
  }
  kj::Vector<IpPrefix> addresses;
  for (auto text : plan.getAddresses()) {
    KJ_IF_MAYBE (address, parsePrefix(text)) {
      addresses.add(*address);
    } else {
      invalid("interfaces.addresses", text);
    }
  }
  config.addresses = addresses.releaseAsArray();
  kj::Vector<IpBytes> gateways;
  for (auto text : plan.getGateways()) {
    KJ_IF_MAYBE (gateway, parseIp(text)) {
      gateways.add(*gateway);
    } else {
      invalid("interfaces.gateways", text);
    }
  }
  config.gateways = gateways.releaseAsArray();
  config.mtu = plan.getMtu();
  return config;
}

Interfaces::Interfaces(kj::UnixEventPort& eventPort, Log& logParam)
    : log(logParam),
      monitor(NETLINK_ROUTE, RTMGRP_LINK),
      observer(eventPort, monitor.fd(), kj::UnixEventPort::FdObserver::OBSERVE_READ) {}

void Interfaces::configure(kj::Array<InterfaceConfig> wantedParam) {
  wanted = kj::mv(wantedParam);
  applyAll();
}

void Interfaces::applyAll() {
  for (auto& link : route.links()) {
    for (auto& config : wanted) {
      if (config.mac == link.mac) apply(link, config);
    }
  }
}

void Interfaces::apply(const LinkInfo& link, const InterfaceConfig& config) {
  refuseAdvertisements(link.name);
  auto present = route.addresses(link.index);
  for (auto& old : present) {
    bool keep =
        std::find(config.addresses.begin(), config.addresses.end(), old) != config.addresses.end();
    if (!keep) route.removeAddress(link.index, old);
  }
  route.bringUp(link.index, config.mtu);
  bool haveV4 = false, haveV6 = false;
  for (auto& address : config.addresses) {
    route.addAddress(link.index, address);
    (address.address.family == AF_INET ? haveV4 : haveV6) = true;
  }
  for (auto& gateway : config.gateways) {
    // A route nothing of ours can be the source of is no route.
    if (gateway.family == AF_INET ? haveV4 : haveV6) route.routeThrough(link.index, gateway);
  }
  log.info("interface configured", {field("INTERFACE", link.name)});
}

// Whether anything happened to links. Lost notifications count as something.
bool Interfaces::drainMonitor() {
  bool seen = false;
  bool complete = monitor.takeEvents([&seen](const nlmsghdr&) { seen = true; });
  return seen || !complete;
}

kj::Promise<void> Interfaces::run() {
  kj::Vector<int> known;
  for (;;) {
    auto readable = observer.whenBecomesReadable();
    if (drainMonitor()) {
      // Only links that were not there before: what a person set on the others stays.
      try {
        kj::Vector<int> present;
        for (auto& link : route.links()) {
          present.add(link.index);
          bool isNew = std::find(known.begin(), known.end(), link.index) == known.end();
          for (auto& config : wanted) {
            if (isNew && config.mac == link.mac) apply(link, config);
          }
        }
        known = kj::mv(present);
      } catch (...) {
        log.error("configuring an interface failed",
                  {field("ERROR", kj::getCaughtExceptionAsKj().getDescription())});
      }
      continue;
    }
    co_await readable;
  }
}

}  // namespace bulkhead::zone
