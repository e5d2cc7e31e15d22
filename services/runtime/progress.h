// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async.h>
#include <kj/refcount.h>
#include <kj/timer.h>

#include "schemas/common.capnp.h"

namespace bulkhead {

// Reports to a `ProgressSink` without ever holding up the work: none while the last report is on
// its way, ten a second of one phase at most, and a sink that fails is left alone. What is dropped
// is dropped for good, except that a new phase and the end of one are always tried.
class Progress {
 public:
  // Without a sink everything is swallowed. The timer is borrowed.
  Progress(kj::Timer& timer, kj::Maybe<schema::ProgressSink::Client> sink);
  Progress(Progress&& other) noexcept;
  ~Progress() noexcept(false);

  // `total` 0: unknown.
  void report(kj::StringPtr phase, kj::StringPtr subject, uint64_t done, uint64_t total);

  // A sink whose reports are passed on to this one's.
  schema::ProgressSink::Client forwarder();

 private:
  struct State;
  class Forwarder;
  kj::Own<State> state;
};

// Where a call's progress is to go: the `progress` of its parameters, if the caller gave one.
template <typename Params>
kj::Maybe<schema::ProgressSink::Client> progressSinkOf(Params params) {
  if (!params.hasProgress()) return nullptr;
  return params.getProgress();
}

}  // namespace bulkhead
