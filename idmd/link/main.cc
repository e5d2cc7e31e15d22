// SPDX-License-Identifier: Apache-2.0
// idmd-link: one zone's messages. Started by the service manager for one connection of idmd's.
#include "idmd/link/link-worker.h"
#include "sandbox-policies/idmd-link-policy.h"
#include "services/runtime/crash-guard.h"
#include "services/runtime/daemon.h"
#include "services/runtime/passed-fds.h"
#include "services/runtime/sandbox.h"
#include "services/runtime/server.h"

namespace {

// Events run in a row before descriptors are looked at again: a zone that always has something to
// say must not keep dom0 from being heard.
constexpr uint32_t kEventsPerPoll = 256;

}  // namespace

int main() {
  using namespace bulkhead;
  CrashGuard::install("idmd-link");
  auto passed = PassedFds::receive();
  Daemon daemon("idmd-link");
  auto connection = passed.take("connection");
  passed.expectAllTaken();
  daemon.waitScope().setBusyPollInterval(kEventsPerPoll);

  Sandbox("idmd-link").limitFiles(256).guardMemory().enter(idmd_link_policy);

  return daemon.run(
      serveOne(daemon.provider(), kj::mv(connection), ConnectionLimits{},
               kj::heap<LinkWorkerServer>(daemon.eventPort(), daemon.timer(), daemon.log())));
}
