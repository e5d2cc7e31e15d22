// SPDX-License-Identifier: Apache-2.0
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
