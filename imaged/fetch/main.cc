// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>

#include <kj/debug.h>
#include <kj/io.h>

#include "imaged/digest.h"
#include "imaged/fetch/fetch-worker.h"
#include "sandbox-policies/imaged-fetch-policy.h"
#include "services/runtime/crash-guard.h"
#include "services/runtime/daemon.h"
#include "services/runtime/passed-fds.h"
#include "services/runtime/sandbox.h"
#include "services/runtime/server.h"

namespace {

constexpr kj::StringPtr kCertificates = "/etc/ssl/certs/ca-certificates.crt"_kj;
constexpr rlim_t kMostMemory = 256 << 20;

// The machine's trusted roots; none where it has none, and then no https registry is trusted.
kj::Array<kj::byte> readCertificates() {
  int raw = open(kCertificates.cStr(), O_RDONLY | O_CLOEXEC);
  if (raw < 0) return nullptr;
  return kj::FdInputStream(kj::AutoCloseFd(raw)).readAllBytes(8u << 20);
}

}  // namespace

int main() {
  using namespace bulkhead;
  CrashGuard::install("imaged-fetch");
  auto passed = PassedFds::receive();
  Daemon daemon("imaged-fetch");
  auto connection = passed.take("connection");
  passed.expectAllTaken();
  auto certificates = readCertificates();
  Sha256::prepare();
  HttpClient::prepare();

  ConnectionLimits limits;
  limits.messageBytes = 32u << 20;
  limits.inFlightBytes = 32u << 20;
  Sandbox("imaged-fetch")
      .keepCapabilities({})
      .limitFiles(256)
      .limitMemory(kMostMemory)
      // What the resolver reads anew for every name.
      .allowPathIfPresent("/etc", PathAccess::read)
      .allowPathIfPresent("/run/systemd/resolve", PathAccess::read)
      .allowTcpConnect()
      .guardMemory()
      .enter(imaged_fetch_policy);
  return daemon.run(serveOne(
      daemon.provider(), kj::mv(connection), limits,
      kj::heap<FetchWorkerImpl>(daemon.eventPort(), daemon.timer(), kj::mv(certificates))));
}
