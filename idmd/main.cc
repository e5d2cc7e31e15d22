// SPDX-License-Identifier: Apache-2.0
// idmd: joins zones' rings to their link processes.
#include "idmd/link-pool.h"
#include "idmd/ring/grant-mapping.h"
#include "idmd/router.h"
#include "sandbox-policies/idmd-policy.h"
#include "services/runtime/crash-guard.h"
#include "services/runtime/daemon.h"
#include "services/runtime/passed-fds.h"
#include "services/runtime/sandbox.h"
#include "services/runtime/server.h"

int main() {
  using namespace bulkhead;
  CrashGuard::install("idmd");
  auto passed = PassedFds::receive();
  Daemon daemon("idmd");
  auto listener = passed.take("idmd");
  passed.expectAllTaken();
  auto policy = PeerPolicy::of(Edge::rings);
  auto linkSocket = socketPath(Edge::link);

  Sandbox("idmd")
      .limitFiles(4096)
      .guardMemory()
      .allowPath("/dev/xen/gntdev", PathAccess::device)
      .allowPath("/dev/xen/evtchn", PathAccess::device)
      .enter(idmd_policy);

  // The ring's two descriptors go out with one message; one number holds for both directions.
  ConnectionLimits linkLimits;
  linkLimits.fdsPerMessage = 2;
  ring::XenRingDevices devices;
  LinkPool pool(daemon.provider(), linkSocket, linkLimits, daemon.log());
  pool.prepare();
  capnp::Capability::Client router =
      kj::heap<RouterServer>(devices, [&]() { return pool.take(); }, daemon.timer(), daemon.log());
  return daemon.run(serve(daemon.provider(), daemon.timer(), kj::mv(listener), policy,
                          ConnectionLimits{}, daemon.log(),
                          [&](const PeerIdentity&) { return router; }));
}
