// SPDX-License-Identifier: Apache-2.0
#include "idmd/link-pool.h"

#include "services/runtime/failure.h"

namespace bulkhead {

kj::Own<Connection> LinkPool::take() {
  watcher = nullptr;
  auto result = kj::mv(spare);
  if (result.get() == nullptr || broken) result = connectTo(provider, socket, limits);
  // Once the caller's own messages are on their way.
  refill = kj::evalLast([this]() { prepare(); }).eagerlyEvaluate(nullptr);
  return result;
}

void LinkPool::prepare() {
  try {
    spare = connectTo(provider, socket, limits);
  } catch (...) {
    log.warning("no link process can be started ahead of its zone",
                {field("ERROR", failureOf(kj::getCaughtExceptionAsKj()).describe())});
    return;
  }
  broken = false;
  watcher = spare->whenClosed()
                .then([this]() { broken = true; })
                .eagerlyEvaluate([this](kj::Exception&&) { broken = true; });
}

}  // namespace bulkhead
