// SPDX-License-Identifier: Apache-2.0
#include "imaged/unpack/job-monitor.h"

#include <kj/debug.h>

#include "services/runtime/failure.h"

namespace bulkhead {

void JobMonitor::State::wake() {
  KJ_IF_MAYBE (fulfiller, waiting) {
    (*fulfiller)->fulfill();
    waiting = nullptr;
  }
}

void JobMonitor::packing(kj::StringPtr layer, uint64_t done, uint64_t total) {
  auto lock = state.lockExclusive();
  if (lock->cancelled) fail(FailureCode::CANCELLED, layer, "nobody waits for the image any more");
  lock->latest = Report{kj::str(layer), done, total};
  lock->wake();
}

void JobMonitor::end() {
  auto lock = state.lockExclusive();
  lock->ended = true;
  lock->wake();
}

kj::Promise<void> JobMonitor::forward(Progress& progress) {
  for (;;) {
    kj::Maybe<Report> news;
    kj::Promise<void> more = kj::READY_NOW;
    {
      auto lock = state.lockExclusive();
      news = kj::mv(lock->latest);
      lock->latest = nullptr;
      if (news == nullptr) {
        if (lock->ended) co_return;
        auto pair = kj::newPromiseAndCrossThreadFulfiller<void>();
        lock->waiting = kj::mv(pair.fulfiller);
        more = kj::mv(pair.promise);
      }
    }
    KJ_IF_MAYBE (report, news) {
      progress.report("pack", report->layer, report->done, report->total);
    }
    co_await more;
  }
}

}  // namespace bulkhead
