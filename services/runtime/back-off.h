// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async.h>
#include <kj/timer.h>

namespace bulkhead {

// Growing waits between attempts, for what says nothing when it is ready: each wait is twice the
// one before, up to the longest.
class BackOff {
 public:
  BackOff(kj::Timer& timer, kj::Duration first, kj::Duration longest)
      : timer(timer), first(first), longest(longest), next(first) {}

  kj::Promise<void> wait() {
    auto now = next;
    next = kj::min(next * 2, longest);
    return timer.afterDelay(now);
  }
  void reset() { next = first; }

 private:
  kj::Timer& timer;
  kj::Duration first;
  kj::Duration longest;
  kj::Duration next;
};

}  // namespace bulkhead
