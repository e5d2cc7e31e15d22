// SPDX-License-Identifier: Apache-2.0
#include "imaged/progress.h"

namespace bulkhead {

constexpr auto kInterval = 100 * kj::MILLISECONDS;

void Progress::report(kj::StringPtr phase, kj::StringPtr subject, uint64_t done, uint64_t total) {
  KJ_IF_MAYBE (target, sink) {
    auto now = timer.now();
    bool complete = total != 0 && done >= total;
    if (broken || busy || (sentAny && !complete && now - last < kInterval)) return;
    auto request = target->reportRequest();
    auto progress = request.initProgress();
    progress.setPhase(phase);
    progress.setSubject(subject);
    progress.setDone(done);
    progress.setTotal(total);
    sentAny = true;
    busy = true;
    last = now;
    sending =
        request.send().then([this]() { busy = false; }).eagerlyEvaluate([this](kj::Exception&&) {
          busy = false;
          broken = true;
        });
  }
}

}  // namespace bulkhead
