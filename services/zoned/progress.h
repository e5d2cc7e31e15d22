// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async.h>
#include <kj/refcount.h>

#include "schemas/common.capnp.h"

namespace bulkhead {

// Passes reports on to a client's sink. Never waits for it: while one report is under way, later
// ones are dropped, and a sink that fails is not called again.
class ProgressRelay {
 public:
  explicit ProgressRelay(kj::Maybe<schema::ProgressSink::Client> sink);

  void report(kj::StringPtr phase, kj::StringPtr subject, uint64_t done, uint64_t total);

  // A sink for a service whose reports are passed on.
  schema::ProgressSink::Client forwarder();

 private:
  struct State : public kj::Refcounted {
    kj::Maybe<schema::ProgressSink::Client> sink;
    kj::Promise<void> underWay = nullptr;
    bool busy = false;
    void report(kj::StringPtr phase, kj::StringPtr subject, uint64_t done, uint64_t total);
  };
  class Forwarder;

  kj::Own<State> state;
};

}  // namespace bulkhead
