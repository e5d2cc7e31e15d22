// SPDX-License-Identifier: Apache-2.0
#include "hvd/worker.h"

#include <kj/debug.h>
#include <kj/mutex.h>

namespace bulkhead::hvd {
namespace {

struct Started {
  kj::Own<const kj::Executor> executor;
  kj::Own<kj::CrossThreadPromiseFulfiller<void>> finish;
};

}  // namespace

Worker::Worker() {
  kj::MutexGuarded<kj::Maybe<Started>> started;
  thread = kj::heap<kj::Thread>([&started]() {
    kj::EventLoop loop;
    kj::WaitScope waitScope(loop);
    auto paf = kj::newPromiseAndCrossThreadFulfiller<void>();
    *started.lockExclusive() =
        Started{kj::getCurrentThreadExecutor().addRef(), kj::mv(paf.fulfiller)};
    // `started` is gone from here on.
    paf.promise.wait(waitScope);
  });
  started.when([](const kj::Maybe<Started>& value) { return value != nullptr; },
               [this](kj::Maybe<Started>& value) {
                 auto& present = KJ_ASSERT_NONNULL(value);
                 executor = kj::mv(present.executor);
                 finish = kj::mv(present.finish);
               });
}

Worker::~Worker() noexcept(false) { finish->fulfill(); }

}  // namespace bulkhead::hvd
