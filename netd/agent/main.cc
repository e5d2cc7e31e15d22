// SPDX-License-Identifier: Apache-2.0
// netd-agent: configures links, routes, neighbours and filters in its own network namespace, and
// takes vifs into it from the host's. Holds CAP_NET_ADMIN and nothing else.
#include <fcntl.h>
#include <linux/capability.h>
#include <net/if.h>

#include <kj/debug.h>

#include "netd/agent/filter-rules.h"
#include "netd/agent/kernel-settings.h"
#include "netd/agent/link-agent-server.h"
#include "sandbox-policies/netd-agent-policy.h"
#include "services/runtime/crash-guard.h"
#include "services/runtime/daemon.h"
#include "services/runtime/failure.h"
#include "services/runtime/passed-fds.h"
#include "services/runtime/sandbox.h"
#include "services/runtime/server.h"

namespace {

using namespace bulkhead;

kj::AutoCloseFd openOwnNamespace() {
  int raw;
  KJ_SYSCALL(raw = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
  return kj::AutoCloseFd(raw);
}

void prepareKernel(net::RouteSocket& own, Log& log) {
  net::applyKernelSettings();
  own.setUp(KJ_ASSERT_NONNULL(own.find("lo"), "no loopback device").index);
  try {
    net::loadFilterRules();
  } catch (...) {
    // Another version of this program left rules of another shape. No vif may carry traffic while
    // they are exchanged; the plan brings them up again.
    log.warning("replacing the filter rules of another version",
                {field("ERROR", kj::getCaughtExceptionAsKj().getDescription())});
    for (auto& device : own.vifs()) own.setDown(device.index);
    net::removeFilterRules();
    net::loadFilterRules();
  }
}

kj::Promise<void> watch(kj::UnixEventPort& port, int fd, net::LinkTable& table) {
  kj::UnixEventPort::FdObserver observer(port, fd, kj::UnixEventPort::FdObserver::OBSERVE_READ);
  for (;;) {
    // Asked for before reading: what arrives meanwhile must wake us.
    auto readable = observer.whenBecomesReadable();
    table.handleEvents();
    co_await readable;
  }
}

}  // namespace

int main() {
  CrashGuard::install("netd-agent");
  auto passed = PassedFds::receive();
  Daemon daemon("netd-agent");
  try {
    auto listener = passed.take(info(Edge::netAgent).name);
    net::RouteSocket host(passed.take("host-rtnl"));
    passed.expectAllTaken();
    auto policy = PeerPolicy::of(Edge::netAgent);
    auto ownNamespace = openOwnNamespace();
    net::RouteSocket own;
    net::FilterSocket filter;
    prepareKernel(own, daemon.log());

    Sandbox("netd-agent")
        .keepCapabilities({CAP_NET_ADMIN})
        .limitFiles(64)
        .guardMemory()
        .enter(netd_agent_policy);

    net::LinkTable table(own, host, filter, ownNamespace, daemon.log());
    ConnectionLimits limits;
    limits.fdsPerMessage = 0;
    limits.connections = limits.connectionsPerUser = 4;  // the controller, and one that dies
    auto served = serve(daemon.provider(), daemon.timer(), kj::mv(listener), policy, limits,
                        daemon.log(), [&](const PeerIdentity&) -> capnp::Capability::Client {
                          return kj::heap<net::LinkAgentServer>(table, daemon.timer());
                        });
    auto watched = watch(daemon.eventPort(), own.fd(), table)
                       .exclusiveJoin(watch(daemon.eventPort(), host.fd(), table));
    return daemon.run(served.exclusiveJoin(kj::mv(watched)));
  } catch (...) {
    auto exception = kj::getCaughtExceptionAsKj();
    daemon.log().error("cannot start", {field("ERROR", failureOf(exception).describe())});
    return 1;
  }
}
