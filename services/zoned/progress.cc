// SPDX-License-Identifier: Apache-2.0
#include "services/zoned/progress.h"

namespace bulkhead {

class ProgressRelay::Forwarder final : public schema::ProgressSink::Server {
 public:
  explicit Forwarder(kj::Own<State> state) : state(kj::mv(state)) {}

  kj::Promise<void> report(ReportContext context) override {
    auto progress = context.getParams().getProgress();
    state->report(progress.getPhase(), progress.getSubject(), progress.getDone(),
                  progress.getTotal());
    return kj::READY_NOW;
  }

 private:
  kj::Own<State> state;
};

ProgressRelay::ProgressRelay(kj::Maybe<schema::ProgressSink::Client> sink)
    : state(kj::refcounted<State>()) {
  state->sink = kj::mv(sink);
}

void ProgressRelay::report(kj::StringPtr phase, kj::StringPtr subject, uint64_t done,
                           uint64_t total) {
  state->report(phase, subject, done, total);
}

schema::ProgressSink::Client ProgressRelay::forwarder() {
  return kj::heap<Forwarder>(kj::addRef(*state));
}

void ProgressRelay::State::report(kj::StringPtr phase, kj::StringPtr subject, uint64_t done,
                                  uint64_t total) {
  if (busy) return;
  KJ_IF_MAYBE (client, sink) {
    auto request = client->reportRequest();
    auto progress = request.initProgress();
    progress.setPhase(phase);
    progress.setSubject(subject);
    progress.setDone(done);
    progress.setTotal(total);
    busy = true;
    underWay = request.send()
                   .then([this]() { busy = false; }, [this](kj::Exception&&) { sink = nullptr; })
                   .eagerlyEvaluate(nullptr);
  }
}

}  // namespace bulkhead
