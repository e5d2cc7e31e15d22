// SPDX-License-Identifier: Apache-2.0
#include "netd/agent-channel.h"

#include <kj/debug.h>

#include "services/runtime/failure.h"

namespace bulkhead::net {
namespace {

constexpr auto kShortestPause = 100 * kj::MILLISECONDS;
constexpr auto kLongestPause = 5 * kj::SECONDS;

// A configuration can wait this long for the link to appear; a loaded host is slow to make it.
constexpr auto kConfigureTimeout = 30 * kj::SECONDS;
constexpr auto kCallTimeout = 10 * kj::SECONDS;

kj::Exception unreachable() {
  return failure(FailureCode::UNREACHABLE, "network agent", "the agent is not there",
                 "it is restarted by itself; see the journal of bulkhead-netd-agent")
      .toException();
}

// A peer's death becomes a failure that the caller can act on; typed failures pass.
template <typename T>
kj::Promise<T> bounded(kj::Timer& timer, kj::Duration limit, kj::Promise<T> call) {
  return timer.timeoutAfter(limit, kj::mv(call))
      .catch_([](kj::Exception&& exception) -> kj::Promise<T> {
        if (isDisconnected(exception)) return unreachable();
        if (exception.getType() == kj::Exception::Type::OVERLOADED) {
          return failure(FailureCode::TIMEOUT, "network agent", "the agent does not answer")
              .toException();
        }
        return kj::mv(exception);
      });
}

}  // namespace

void writeLink(const Lease& lease, schema::LinkPlan::Builder link) {
  link.setDomid(KJ_REQUIRE_NONNULL(lease.domid, "the lease has no domain"));
  link.setIndex(lease.index);
  link.setMac(lease.mac.text());
  auto addresses = link.initAddresses(2);
  addresses.set(0, lease.v4.hostText());
  addresses.set(1, lease.v6.hostText());
  link.setMtu(lease.mtu);
}

AgentChannel::AgentChannel(kj::Timer& timer, Log& log, const AddressBook& book, Connector connect)
    : timer(timer), log(log), book(book), connect(kj::mv(connect)) {}

kj::Promise<void> AgentChannel::run() {
  auto pause = kShortestPause;
  bool told = false;
  for (;;) {
    auto started = timer.now();
    try {
      auto connection = connect();
      co_await serveConnection(*connection);
      log.warning("the network agent went away");
    } catch (...) {
      auto exception = kj::getCaughtExceptionAsKj();
      if (!told) {
        log.warning("the network agent cannot be reached",
                    {field("ERROR", failureOf(exception).describe())});
        told = true;
      }
    }
    agent = nullptr;
    if (state == State::connected) told = false;
    state = State::away;
    // A connection that lasted was a good one. Nothing tells when somebody listens again, so that
    // only the clock is left; a socket unit makes the first attempt succeed.
    pause =
        timer.now() - started > kLongestPause ? kShortestPause : kj::min(pause * 2, kLongestPause);
    co_await timer.afterDelay(pause);
  }
}

kj::Promise<void> AgentChannel::serveConnection(Connection& connection) {
  auto fresh = connection.bootstrap<schema::LinkAgent>();
  kj::Vector<const Lease*> linked;
  for (auto* lease : book.leases()) {
    if (lease->domid != nullptr) linked.add(lease);
  }
  auto request = fresh.synchronizeRequest();
  auto links = request.initLinks(static_cast<kj::uint>(linked.size()));
  for (kj::uint i = 0; i < linked.size(); ++i) writeLink(*linked[i], links[i]);
  auto synchronized = request.send().ignoreResult();
  // Later calls queue behind this one, so that they may be made at once.
  agent = fresh;
  co_await bounded(timer, kConfigureTimeout, kj::mv(synchronized));
  state = State::connected;
  log.info("the network agent has the plan", {field("LINKS", linked.size())});
  co_await connection.onDisconnect();
}

schema::LinkAgent::Client AgentChannel::requireAgent() {
  KJ_IF_MAYBE (present, agent) {
    return *present;
  }
  kj::throwFatalException(unreachable());
}

kj::Promise<void> AgentChannel::configure(const Lease& lease) {
  auto request = requireAgent().configureRequest();
  writeLink(lease, request.initLink());
  return bounded(timer, kConfigureTimeout, request.send().ignoreResult());
}

kj::Promise<void> AgentChannel::remove(uint32_t domid, uint32_t index) {
  if (agent == nullptr) return kj::READY_NOW;
  auto request = requireAgent().removeRequest();
  request.setDomid(domid);
  request.setIndex(index);
  return bounded(timer, kCallTimeout, request.send().ignoreResult())
      .catch_([this](kj::Exception&& exception) {
        // The lease is gone from the plan: what the agent did not do now it does when it gets the
        // plan again. Until then the address filter still ties the link to its old address.
        log.warning("removing a link failed", {field("ERROR", failureOf(exception).describe())});
      });
}

kj::Promise<capnp::Response<schema::LinkAgent::StatisticsResults>> AgentChannel::statistics(
    uint32_t domid, uint32_t index) {
  auto request = requireAgent().statisticsRequest();
  request.setDomid(domid);
  request.setIndex(index);
  return bounded(
      timer, kCallTimeout,
      kj::Promise<capnp::Response<schema::LinkAgent::StatisticsResults>>(request.send()));
}

}  // namespace bulkhead::net
