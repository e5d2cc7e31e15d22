// SPDX-License-Identifier: Apache-2.0
#include "netd/network-server.h"

#include <span>

#include <kj/debug.h>
#include <kj/map.h>

#include "services/runtime/failure.h"

namespace bulkhead::net {
namespace {

constexpr kj::StringPtr kGateways[] = {"169.254.1.1"_kj, "fe80::1"_kj};

// Xen's numbers from here on are not domains (DOMID_FIRST_RESERVED).
constexpr uint32_t kFirstReservedDomid = 0x7ff0;

Uuid zoneOf(capnp::Data::Reader data) {
  KJ_IF_MAYBE (zone, Uuid::from(data)) {
    return *zone;
  }
  fail(FailureCode::INVALID, "zone", "a zone's name is a UUID of 16 bytes");
}

LeaseRequest leaseRequestOf(schema::AttachRequest::Reader request, const Config& config) {
  LeaseRequest result;
  result.mtu = request.getMtu() == 0 ? config.mtu : request.getMtu();
  if (result.mtu < kSmallestMtu || result.mtu > kLargestMtu) {
    fail(FailureCode::INVALID, kj::str("MTU ", result.mtu), "out of range",
         kj::str(kSmallestMtu, " to ", kLargestMtu, " is possible"));
  }
  if (request.getWantedAddress().size() > 0) {
    result.address = IpAddress::parse(request.getWantedAddress());
    if (result.address == nullptr) {
      fail(FailureCode::INVALID, printable(request.getWantedAddress(), 64), "not an IP address");
    }
  }
  if (request.getWantedMac().size() > 0) {
    result.mac = MacAddress::parse(request.getWantedMac());
    if (result.mac == nullptr) {
      fail(FailureCode::INVALID, printable(request.getWantedMac(), 64), "not a MAC address");
    }
  }
  return result;
}

void writePlan(const Lease& lease, const Config& config, schema::InterfacePlan::Builder plan) {
  plan.setIndex(lease.index);
  plan.setMac(lease.mac.text());
  auto addresses = plan.initAddresses(2);
  addresses.set(0, lease.v4.hostText());
  addresses.set(1, lease.v6.hostText());
  auto gateways = plan.initGateways(2);
  for (kj::uint i = 0; i < 2; ++i) gateways.set(i, std::span(kGateways)[i]);
  plan.setMtu(lease.mtu);
  auto nameservers = plan.initNameservers(static_cast<kj::uint>(config.nameservers.size()));
  for (kj::uint i = 0; i < config.nameservers.size(); ++i) {
    nameservers.set(i, config.nameservers[i].text());
  }
  plan.setBackendDomain(0);
}

kj::Promise<void> releaseLease(const NetworkContext& context, const Uuid& zone, uint32_t index) {
  kj::Maybe<uint32_t> domid;
  KJ_IF_MAYBE (lease, context.book.find(zone)) {
    if (lease->index == index) domid = lease->domid;
  }
  // The agent comes first: an address must not be handed out while a link still may use it. When
  // the agent does not do it the address rests, and the next synchronization takes the link away.
  KJ_IF_MAYBE (number, domid) {
    co_await context.agent.remove(*number, index);
  }
  context.book.release(zone, index);
}

class AttachmentServer final : public schema::Attachment::Server {
 public:
  AttachmentServer(NetworkContext context, const Lease& lease)
      : context(context), zone(lease.zone), index(lease.index) {}

  kj::Promise<void> plan(PlanContext call) override {
    writePlan(context.book.get(zone, index), context.config, call.getResults().initPlan());
    return kj::READY_NOW;
  }

  kj::Promise<void> connect(ConnectContext call) override {
    uint32_t domid = call.getParams().getDomid();
    if (domid == 0 || domid >= kFirstReservedDomid) {
      fail(FailureCode::INVALID, kj::str("domain ", domid), "no zone can have this number");
    }
    auto former = context.book.get(zone, index).domid;
    context.book.setDomain(zone, index, domid);
    KJ_IF_MAYBE (number, former) {
      if (*number != domid) co_await context.agent.remove(*number, index);
    }
    co_await context.agent.configure(context.book.get(zone, index));
  }

  kj::Promise<void> release(ReleaseContext) override { return releaseLease(context, zone, index); }

  kj::Promise<void> statistics(StatisticsContext call) override {
    auto domid = context.book.get(zone, index).domid;
    KJ_IF_MAYBE (number, domid) {
      auto response = co_await context.agent.statistics(*number, index);
      call.getResults().setStatistics(response.getStatistics());
    } else {
      fail(FailureCode::BUSY, zone.text(), "the interface is not connected to a domain yet");
    }
  }

 private:
  NetworkContext context;
  Uuid zone;
  uint32_t index;
};

}  // namespace

kj::Promise<void> NetworkServer::attach(AttachContext call) {
  auto params = call.getParams();
  auto zone = zoneOf(params.getZone());
  auto& lease = context.book.attach(zone, leaseRequestOf(params.getRequest(), context.config));
  auto results = call.getResults();
  results.setAttachment(kj::heap<AttachmentServer>(context, lease));
  writePlan(lease, context.config, results.initPlan());
  return kj::READY_NOW;
}

kj::Promise<void> NetworkServer::find(FindContext call) {
  auto zone = zoneOf(call.getParams().getZone());
  KJ_IF_MAYBE (lease, context.book.find(zone)) {
    auto entry = call.getResults().initAttachments(1)[0];
    entry.setAttachment(kj::heap<AttachmentServer>(context, *lease));
    writePlan(*lease, context.config, entry.initPlan());
  }
  return kj::READY_NOW;
}

kj::Promise<void> NetworkServer::retain(RetainContext call) {
  kj::TreeSet<Uuid> kept;
  for (auto data : call.getParams().getZones()) {
    kept.upsert(zoneOf(data), [](Uuid&, Uuid&&) {});
  }
  uint32_t released = 0;
  for (auto& zone : context.book.zones()) {
    if (kept.find(zone) != nullptr) continue;
    kj::Maybe<uint32_t> index;
    KJ_IF_MAYBE (lease, context.book.find(zone)) {
      index = lease->index;
    }
    KJ_IF_MAYBE (number, index) {
      co_await releaseLease(context, zone, *number);
      ++released;
    }
    if (context.book.find(zone) == nullptr) context.book.forget(zone);
  }
  call.getResults().setReleased(released);
}

kj::Promise<void> NetworkServer::status(StatusContext call) {
  auto status = call.getResults().initStatus();
  auto& ranges = context.book.addressRanges();
  auto texts = status.initRanges(2);
  texts.set(0, ranges.v4.text());
  texts.set(1, ranges.v6.text());
  status.setUsed(context.book.used());
  status.setAvailable(context.book.available());
  status.setAgentConnected(context.agent.connected());
  return kj::READY_NOW;
}

}  // namespace bulkhead::net
