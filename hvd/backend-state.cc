// SPDX-License-Identifier: Apache-2.0
#include "hvd/backend-state.h"

#include "hvd/domain-config.h"
#include "services/runtime/failure.h"

namespace bulkhead::hvd {
namespace {

// enum xenbus_state of xen/io/xenbus.h.
constexpr uint32_t kInitWait = 2;
constexpr uint32_t kConnected = 4;
constexpr uint32_t kClosing = 5;
constexpr uint32_t kClosed = 6;

// The state node below `directory`; none when it is absent or not a number.
kj::Promise<kj::Maybe<uint32_t>> readState(XenstoreClient& xenstore, kj::StringPtr path) {
  auto text = co_await xenstore.read(path);
  KJ_IF_MAYBE (value, text) {
    co_return parseStrictly(*value);
  }
  co_return nullptr;
}

kj::Promise<void> waitClosed(XenstoreClient& xenstore, kj::String path) {
  auto watch = xenstore.watch(path);
  for (;;) {
    co_await watch->next();
    auto state = co_await readState(xenstore, path);
    if (state == nullptr || state.orDefault(0) == kClosed) co_return;
  }
}

kj::Promise<void> waitReady(XenstoreClient& xenstore, kj::String path) {
  auto watch = xenstore.watch(path);
  for (;;) {
    co_await watch->next();
    auto state = (co_await readState(xenstore, path)).orDefault(0);
    if (state >= kInitWait && state <= kConnected) co_return;
    if (state == kClosing || state == kClosed) {
      fail(FailureCode::INTERNAL, path, "the back end gave up",
           "the kernel log of the back end's domain says why");
    }
  }
}

}  // namespace

void addClosing(kj::Vector<NodeChange>& changes, kj::StringPtr backend) {
  changes.add(writeNode(kj::str(backend, "/online"), "0"));
  changes.add(writeNode(kj::str(backend, "/state"), kj::str(kClosing)));
}

kj::Promise<bool> whenBackendClosed(XenstoreClient& xenstore, kj::Timer& timer,
                                    kj::StringPtr backend, kj::Duration patience) {
  auto closed = waitClosed(xenstore, kj::str(backend, "/state")).then([]() { return true; });
  auto late = timer.afterDelay(patience).then([]() { return false; });
  return closed.exclusiveJoin(kj::mv(late));
}

kj::Promise<void> whenBackendReady(XenstoreClient& xenstore, kj::Timer& timer,
                                   kj::StringPtr backend, kj::Duration patience) {
  auto late = timer.afterDelay(patience).then([path = kj::str(backend)]() {
    fail(FailureCode::TIMEOUT, path, "the back end did not get ready",
         "is its kernel module loaded?");
  });
  return waitReady(xenstore, kj::str(backend, "/state")).exclusiveJoin(kj::mv(late));
}

}  // namespace bulkhead::hvd
