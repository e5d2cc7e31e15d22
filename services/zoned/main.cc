// SPDX-License-Identifier: Apache-2.0
// zoned: the life of zones, and the one socket people and programs connect to. It holds its
// store and the sockets of the four services it orchestrates, and nothing else.
#include <stdlib.h>

#include "sandbox-policies/zoned-policy.h"
#include "services/runtime/crash-guard.h"
#include "services/runtime/daemon.h"
#include "services/runtime/passed-fds.h"
#include "services/runtime/sandbox.h"
#include "services/runtime/server.h"
#include "services/zoned/access.h"
#include "services/zoned/config.h"
#include "services/zoned/session.h"
#include "services/zoned/zones.h"

namespace {

kj::String stateDirectory() {
  const char* directory = getenv("STATE_DIRECTORY");
  return kj::str(directory == nullptr ? "/var/lib/bulkhead/zoned" : directory);
}

// Clients hand over a process's three streams with one call.
bulkhead::ConnectionLimits clientLimits() {
  bulkhead::ConnectionLimits limits;
  limits.fdsPerMessage = 3;
  limits.connections = 512;
  limits.connectionsPerUser = 256;
  return limits;
}

}  // namespace

int main() {
  using namespace bulkhead;
  CrashGuard::install("zoned");
  auto passed = PassedFds::receive();
  Daemon daemon("zoned");
  auto listener = passed.take("platform");
  passed.expectAllTaken();

  auto configuration = configurationDirectory();
  auto config = loadZonedConfig(kj::str(configuration, "/zoned.toml"));
  auto names = NameService::ofHost();
  auto access = AccessPolicy::load(kj::str(configuration, "/access.toml"), names);
  auto state = stateDirectory();

  Sandbox("zoned")
      .keepCapabilities({})
      .limitFiles(4096)
      .allowPath(state, PathAccess::readWrite)
      .enter(zoned_policy);

  Store store(state);
  Peers peers(daemon.provider());
  ZoneServices services{
      peers,        store, daemon.timer(), kj::systemPreciseMonotonicClock(), daemon.provider(),
      daemon.log(), config};
  Zones zones(services);
  zones.reconcile();
  return daemon.run(
      serve(daemon.provider(), daemon.timer(), kj::mv(listener), PeerPolicy::of(Edge::platform),
            clientLimits(), daemon.log(), [&](const PeerIdentity& peer) {
              return makePlatform(zones, services, Viewer{peer.user, access.roleOf(peer)});
            }));
}
