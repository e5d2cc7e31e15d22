// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/timer.h>

#include "imaged/fetch/http-transfer.h"

namespace bulkhead {

// Whether and when a request is made once more: three times at most, with growing waits that are
// not the same for everybody, and never beyond a deadline of the whole.
class Retry {
 public:
  // `whole` is for all tries together, beginning now. The timer is borrowed.
  Retry(kj::Timer& timer, kj::Duration whole) : timer(timer), deadline(timer.now() + whole) {}

  // What is left of it; 0 where it is over.
  kj::Duration left() const;

  // When to try again after this outcome; none where it is final, or was the last.
  kj::Maybe<kj::Promise<void>> again(const HttpOutcome& outcome);

  // What was had is worth something: the tries are counted from here.
  void progressed() { tries = 0; }

 private:
  kj::Timer& timer;
  kj::TimePoint deadline;
  uint tries = 0;

  kj::Duration backOff() const;
};

}  // namespace bulkhead
