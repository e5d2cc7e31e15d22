// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/timer.h>

#include "services/zoned/record.h"

namespace bulkhead {

// Measures one step of a launch; `done` adds it to the record.
class PhaseClock {
 public:
  PhaseClock(const kj::MonotonicClock& clock, ZoneRecord& record, kj::StringPtr name)
      : clock(clock), record(record), name(kj::str(name)), begin(clock.now()) {}

  void done() {
    auto taken = (clock.now() - begin) / kj::NANOSECONDS;
    record.phases.add(Phase{kj::mv(name), static_cast<uint64_t>(taken)});
  }

 private:
  const kj::MonotonicClock& clock;
  ZoneRecord& record;
  kj::String name;
  kj::TimePoint begin;
};

}  // namespace bulkhead
