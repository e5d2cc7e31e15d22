// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <stdlib.h>

#include <kj/debug.h>

#include "imaged/digest.h"
#include "imaged/store/image-store.h"
#include "sandbox-policies/imaged-policy.h"
#include "services/runtime/crash-guard.h"
#include "services/runtime/daemon.h"
#include "services/runtime/failure.h"
#include "services/runtime/passed-fds.h"
#include "services/runtime/sandbox.h"
#include "services/runtime/server.h"

namespace {

// systemd says where state and configuration are; tests say the same way.
kj::String place(const char* variable, kj::StringPtr otherwise) {
  const char* value = getenv(variable);
  return kj::str(value == nullptr ? otherwise : kj::StringPtr(value));
}

// Whoever held an image that has no name any more takes hold of it again within this time.
constexpr auto kReturnGrace = 10 * kj::MINUTES;

kj::Promise<void> sweepForEver(kj::Timer& timer, bulkhead::Collector& collector) {
  for (;;) {
    co_await timer.afterDelay(kReturnGrace);
    collector.removeForgotten(kReturnGrace / kj::SECONDS);
  }
}

kj::AutoCloseFd openDirectory(kj::StringPtr path) {
  int raw;
  KJ_SYSCALL(raw = open(path.cStr(), O_RDONLY | O_DIRECTORY | O_CLOEXEC),
             "the state directory must be there already", path);
  return kj::AutoCloseFd(raw);
}

// A mistake in it is for a person to read, not for a debugger.
kj::Maybe<bulkhead::ImagedConfig> readConfig(bulkhead::Log& log) {
  using namespace bulkhead;
  try {
    return ImagedConfig::load(place("BULKHEAD_IMAGED_CONFIG", "/etc/bulkhead/imaged.toml"));
  } catch (...) {
    log.error(failureOf(kj::getCaughtExceptionAsKj()).describe());
    return nullptr;
  }
}

}  // namespace

int main() {
  using namespace bulkhead;
  CrashGuard::install("imaged");
  auto passed = PassedFds::receive();
  Daemon daemon("imaged");
  auto listener = passed.take("imaged");
  passed.expectAllTaken();
  auto configured = readConfig(daemon.log());
  if (configured == nullptr) return 1;
  const auto& config = KJ_ASSERT_NONNULL(configured);
  auto statePath = place("STATE_DIRECTORY", "/var/lib/bulkhead/imaged");
  auto state = openDirectory(statePath);
  LayoutRoots layouts(config.layoutDirectories);
  auto policy = PeerPolicy::of(Edge::images);
  Sha256::prepare();

  Sandbox sandbox("imaged");
  sandbox.keepCapabilities({}).limitFiles(4096).guardMemory();
  sandbox.allowPath(statePath, PathAccess::readWrite);
  for (auto path : layouts.paths()) sandbox.allowPath(path, PathAccess::read);
  sandbox.enter(imaged_policy);

  StoreDirectory directory(kj::mv(state));
  ImageIndex index(directory, daemon.log());
  Collector collector(index, config.storeQuota, daemon.log());
  PullServices services{daemon.provider(), daemon.timer(), config, directory, index, collector};
  auto sweep = sweepForEver(daemon.timer(), collector).eagerlyEvaluate([&](kj::Exception&& e) {
    daemon.log().error("images without a name could not be removed, ignoring",
                       {field("ERROR", e.getDescription())});
  });
  schema::ImageStore::Client store = kj::heap<ImageStoreImpl>(services, layouts, daemon.log());
  ConnectionLimits limits;
  return daemon.run(serve(daemon.provider(), daemon.timer(), kj::mv(listener), policy, limits,
                          daemon.log(), [&](const PeerIdentity&) { return store; }));
}
