// SPDX-License-Identifier: Apache-2.0
#include <malloc.h>

#include <kj/debug.h>

#include "imaged/digest.h"
#include "imaged/unpack/unpack-worker.h"
#include "sandbox-policies/imaged-unpack-policy.h"
#include "services/runtime/crash-guard.h"
#include "services/runtime/daemon.h"
#include "services/runtime/passed-fds.h"
#include "services/runtime/sandbox.h"
#include "services/runtime/server.h"

int main() {
  using namespace bulkhead;
  CrashGuard::install("imaged-unpack");
  auto passed = PassedFds::receive();
  Daemon daemon("imaged-unpack");
  auto connection = passed.take("connection");
  passed.expectAllTaken();
  Sha256::prepare();
  // One heap for all threads: each of its own would keep what it once had, and would ask a file of
  // /proc before it gave any back, which the sandbox takes for an attack.
  KJ_REQUIRE(mallopt(M_ARENA_MAX, 1) == 1);

  ConnectionLimits limits;
  // Every layer of an image and every output is a descriptor of one message.
  limits.fdsPerMessage = 250;
  limits.messageBytes = 32u << 20;
  limits.inFlightBytes = 32u << 20;
  Sandbox("imaged-unpack")
      .keepCapabilities({})
      .limitFiles(1024)
      .guardMemory()
      .enter(imaged_unpack_policy);
  return daemon.run(serveOne(daemon.provider(), kj::mv(connection), limits,
                             kj::heap<UnpackWorkerImpl>(daemon.timer())));
}
