// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async.h>
#include <kj/thread.h>

namespace bulkhead::hvd {

// One thread that does blocking jobs in the order they were given, so that the event loop stays
// responsive. A job must not touch what belongs to the loop's thread.
class Worker {
 public:
  // Starts the thread, which inherits the sandbox of the caller: made after that was entered.
  Worker();

  // Waits for the job under way.
  ~Worker() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(Worker);

  // Does `job` on the thread. Dropping the promise waits for a job that has begun, therefore keep
  // it.
  template <typename Job>
  kj::PromiseForResult<Job, void> run(Job job) {
    return executor->executeAsync(kj::mv(job));
  }

 private:
  kj::Own<const kj::Executor> executor;
  kj::Own<kj::CrossThreadPromiseFulfiller<void>> finish;
  kj::Own<kj::Thread> thread;
};

}  // namespace bulkhead::hvd
