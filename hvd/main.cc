// SPDX-License-Identifier: Apache-2.0
// hvd: domains on the Xen hypervisor. What it may do shrinks line by line until it serves.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <span>

#include "hvd/hypervisor-server.h"
#include "sandbox-policies/hvd-policy.h"
#include "services/runtime/crash-guard.h"
#include "services/runtime/daemon.h"
#include "services/runtime/edges.h"
#include "services/runtime/passed-fds.h"
#include "services/runtime/sandbox.h"
#include "services/runtime/server.h"

namespace bulkhead::hvd {
namespace {

// systemd names the directory in StateDirectory='s variable.
kj::StringPtr stateDirectory() {
  const char* directory = getenv("STATE_DIRECTORY");
  return directory != nullptr ? directory : "/var/lib/bulkhead/hvd";
}

int run() {
  CrashGuard::install("hvd");
  auto passed = PassedFds::receive();
  Daemon daemon("hvd");
  auto listener = passed.take("hvd");
  auto xenstored = passed.take("xenstored");
  passed.expectAllTaken();

  // Full control of the machine: everything after this is about keeping it here.
  XenControl xen;
  XenControl workerXen;
  ForeignMemory memory;
  EventChannels channels(daemon.eventPort());
  LoopDevices loops;
  Journal journal(stateDirectory(), daemon.log());
  auto policy = PeerPolicy::of(Edge::hypervisor);

  Sandbox("hvd")
      .keepCapabilities({})
      .limitFiles(4096)
      .guardMemory()
      .allowPath("/dev", PathAccess::device)
      .allowPath(stateDirectory(), PathAccess::readWrite)
      .enter(hvd_policy);

  Worker worker;
  XenstoreClient xenstore(daemon.provider().wrapUnixSocketFd(kj::mv(xenstored)), daemon.timer());
  Machine machine{xen,    worker, workerXen, xenstore,       channels,
                  memory, loops,  journal,   daemon.timer(), daemon.log()};
  Registry registry(machine);
  registry.reconcile().wait(daemon.waitScope());

  ConnectionLimits limits;
  limits.fdsPerMessage = 20;  // kernel, initrd and 16 disks come with one call
  auto server = makeHypervisorServer(machine, registry);
  auto serving = serve(daemon.provider(), daemon.timer(), kj::mv(listener), policy, limits,
                       daemon.log(), [&](const PeerIdentity&) { return server; });
  return daemon.run(serving.exclusiveJoin(registry.watch()));
}

}  // namespace
}  // namespace bulkhead::hvd

int main(int argc, char** argv) {
  if (argc == 2 && strcmp(std::span(argv, 2)[1], "--version") == 0) {
    puts("hvd " BULKHEAD_VERSION);
    return 0;
  }
  return bulkhead::hvd::run();
}
