// SPDX-License-Identifier: Apache-2.0
// netd: plans addresses and links. It never sees a packet and speaks no netlink.
#include <stdlib.h>

#include "netd/network-server.h"
#include "sandbox-policies/netd-policy.h"
#include "services/runtime/crash-guard.h"
#include "services/runtime/daemon.h"
#include "services/runtime/failure.h"
#include "services/runtime/passed-fds.h"
#include "services/runtime/sandbox.h"
#include "services/runtime/server.h"

namespace {

kj::StringPtr environmentOr(const char* name, kj::StringPtr otherwise) {
  const char* value = getenv(name);
  return value == nullptr ? otherwise : kj::StringPtr(value);
}

kj::Promise<void> both(kj::Promise<void> served, kj::Promise<void> connected) {
  co_await served.exclusiveJoin(kj::mv(connected));
}

}  // namespace

int main() {
  using namespace bulkhead;
  CrashGuard::install("netd");
  auto passed = PassedFds::receive();
  Daemon daemon("netd");
  try {
    auto listener = passed.take(info(Edge::network).name);
    passed.expectAllTaken();
    auto policy = PeerPolicy::of(Edge::network);
    // Set by systemd (ConfigurationDirectory=, StateDirectory=).
    auto config = net::Config::load(
        kj::str(environmentOr("CONFIGURATION_DIRECTORY", "/etc/bulkhead"), "/netd.toml"));
    net::AddressBook book(environmentOr("STATE_DIRECTORY", "/var/lib/bulkhead/netd"),
                          config.ranges);

    Sandbox("netd").limitFiles(128).guardMemory().enter(netd_policy);

    ConnectionLimits limits;
    limits.fdsPerMessage = 0;
    net::AgentChannel agent(daemon.timer(), daemon.log(), book,
                            [&]() { return connectTo(daemon.provider(), Edge::netAgent, limits); });
    auto served =
        serve(daemon.provider(), daemon.timer(), kj::mv(listener), policy, limits, daemon.log(),
              [&](const PeerIdentity&) -> capnp::Capability::Client {
                return kj::heap<net::NetworkServer>(net::NetworkContext{book, agent, config});
              });
    return daemon.run(both(kj::mv(served), agent.run()));
  } catch (...) {
    auto exception = kj::getCaughtExceptionAsKj();
    daemon.log().error("cannot start", {field("ERROR", failureOf(exception).describe())});
    return 1;
  }
}
