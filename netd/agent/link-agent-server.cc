// SPDX-License-Identifier: Apache-2.0
#include "netd/agent/link-agent-server.h"

#include <kj/debug.h>

#include "services/runtime/failure.h"

namespace bulkhead::net {
namespace {

// Shorter than the controller waits, so that it gets our error and not its own.
constexpr auto kAppearTimeout = 25 * kj::SECONDS;

constexpr kj::uint kMostAddresses = 16;
constexpr uint32_t kSmallestMtu = 1280;
constexpr uint32_t kLargestMtu = 65000;

VifName vifOf(uint32_t domid, uint32_t index) {
  if (domid == 0 || domid >= VifName::kDomidEnd || index >= VifName::kIndexEnd) {
    fail(FailureCode::INVALID, kj::str("vif", domid, '.', index), "no vif can have this name");
  }
  return VifName{domid, index};
}

// Neither a group's address nor one that belongs to a link or to this host.
bool isHostAddress(const IpAddress& address) {
  auto& b = address.bytes;
  if (address.family == IpAddress::Family::v4) {
    return b[0] != 0 && b[0] != 127 && b[0] < 224 && !(b[0] == 169 && b[1] == 254);
  }
  return b[0] != 0 && b[0] < 0xfe;
}

Link linkOf(schema::LinkPlan::Reader plan) {
  Link link{vifOf(plan.getDomid(), plan.getIndex()), {}, {}, plan.getMtu()};
  auto name = link.name.text();
  KJ_IF_MAYBE (mac, MacAddress::parse(plan.getMac())) {
    link.mac = *mac;
  }
  if (!link.mac.isInterfaceAddress()) fail(FailureCode::INVALID, name, "not a MAC address");
  if (link.mtu < kSmallestMtu || link.mtu > kLargestMtu) {
    fail(FailureCode::INVALID, name, "the MTU is out of range");
  }
  auto addresses = plan.getAddresses();
  if (addresses.size() == 0 || addresses.size() > kMostAddresses) {
    fail(FailureCode::INVALID, name, kj::str("a link has 1 to ", kMostAddresses, " addresses"));
  }
  for (auto text : addresses) {
    auto address = IpAddress::parse(text);
    KJ_IF_MAYBE (present, address) {
      if (isHostAddress(*present)) {
        link.addresses.add(*present);
        continue;
      }
    }
    fail(FailureCode::INVALID, printable(text, 64), "not an address that a zone can have");
  }
  return link;
}

}  // namespace

kj::Promise<void> LinkAgentServer::synchronize(SynchronizeContext call) {
  kj::Vector<Link> links;
  for (auto plan : call.getParams().getLinks()) links.add(linkOf(plan));
  table.replaceAll(kj::mv(links));
  return kj::READY_NOW;
}

kj::Promise<void> LinkAgentServer::configure(ConfigureContext call) {
  auto link = linkOf(call.getParams().getLink());
  auto name = link.name.text();
  auto late = timer.afterDelay(kAppearTimeout).then([name = kj::mv(name)]() {
    fail(FailureCode::TIMEOUT, name, "the link did not appear",
         "is the network back end's module loaded on the host?");
  });
  return table.configure(kj::mv(link)).exclusiveJoin(kj::mv(late));
}

kj::Promise<void> LinkAgentServer::remove(RemoveContext call) {
  auto params = call.getParams();
  table.remove(vifOf(params.getDomid(), params.getIndex()));
  return kj::READY_NOW;
}

kj::Promise<void> LinkAgentServer::statistics(StatisticsContext call) {
  auto params = call.getParams();
  auto name = vifOf(params.getDomid(), params.getIndex());
  KJ_IF_MAYBE (counters, table.counters(name)) {
    auto statistics = call.getResults().initStatistics();
    statistics.setReceivedBytes(counters->device.receivedBytes);
    statistics.setTransmittedBytes(counters->device.transmittedBytes);
    statistics.setReceivedPackets(counters->device.receivedPackets);
    statistics.setTransmittedPackets(counters->device.transmittedPackets);
    statistics.setDroppedSpoofed(counters->droppedSpoofed);
    return kj::READY_NOW;
  }
  fail(FailureCode::NOT_FOUND, name.text(), "the link is not set up");
}

}  // namespace bulkhead::net
