// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async.h>
#include <kj/vector.h>

namespace bulkhead {

// Tells any number of waiters that something changed; each then looks for itself.
class ChangeSignal {
 public:
  // Resolves at the next `raise`.
  kj::Promise<void> next() {
    forgetTheGone();
    auto pair = kj::newPromiseAndFulfiller<void>();
    waiters.add(kj::mv(pair.fulfiller));
    return kj::mv(pair.promise);
  }

  void raise() {
    auto present = kj::mv(waiters);
    waiters.clear();
    for (auto& waiter : present) waiter->fulfill();
  }

 private:
  kj::Vector<kj::Own<kj::PromiseFulfiller<void>>> waiters;

  void forgetTheGone() {
    kj::Vector<kj::Own<kj::PromiseFulfiller<void>>> still;
    for (auto& waiter : waiters) {
      if (waiter->isWaiting()) still.add(kj::mv(waiter));
    }
    waiters = kj::mv(still);
  }
};

}  // namespace bulkhead
