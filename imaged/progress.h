// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async.h>
#include <kj/timer.h>

#include "schemas/common.capnp.h"

namespace bulkhead {

// Reports to a `ProgressSink` without ever holding up the work: at most ten reports a second, none
// while the last one is still on its way, and a sink that fails is left alone.
class Progress {
 public:
  // A null sink swallows everything.
  Progress(kj::Timer& timer, kj::Maybe<schema::ProgressSink::Client> sink)
      : timer(timer), sink(kj::mv(sink)) {}
  KJ_DISALLOW_COPY_AND_MOVE(Progress);

  // `total` 0: unknown. The last report of a phase, where `done` reaches `total`, is not throttled.
  void report(kj::StringPtr phase, kj::StringPtr subject, uint64_t done, uint64_t total);

 private:
  kj::Timer& timer;
  kj::Maybe<schema::ProgressSink::Client> sink;
  kj::Promise<void> sending = nullptr;
  bool busy = false;
  bool broken = false;
  bool sentAny = false;
  kj::TimePoint last = kj::origin<kj::TimePoint>();
};

}  // namespace bulkhead
