// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async.h>
#include <kj/mutex.h>

#include "imaged/unpack/pack-layers.h"
#include "services/runtime/progress.h"

namespace bulkhead {

// Between a job on a thread of its own and the event loop: what is done goes one way, that nobody
// waits for it any more the other.
class JobMonitor final : public PackObserver {
 public:
  JobMonitor() = default;
  KJ_DISALLOW_COPY_AND_MOVE(JobMonitor);

  // On the job's thread. Throws once the job was cancelled. Never waits: of several reports the
  // loop gets the last.
  void packing(kj::StringPtr layer, uint64_t done, uint64_t total) override;

  // On the job's thread: there is nothing left to do.
  void end();

  // On the loop: passes reports on until the job ends.
  kj::Promise<void> forward(Progress& progress);

  // On the loop.
  void cancel() { state.lockExclusive()->cancelled = true; }

 private:
  struct Report {
    kj::String layer;
    uint64_t done;
    uint64_t total;
  };
  struct State {
    kj::Maybe<Report> latest;
    kj::Maybe<kj::Own<kj::CrossThreadPromiseFulfiller<void>>> waiting;
    bool ended = false;
    bool cancelled = false;

    void wake();
  };
  kj::MutexGuarded<State> state;
};

}  // namespace bulkhead
