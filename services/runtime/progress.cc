// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/progress.h"

namespace bulkhead {
namespace {

constexpr kj::Duration kInterval = 100 * kj::MILLISECONDS;

}  // namespace

struct Progress::State : public kj::Refcounted {
  State(kj::Timer& timer, kj::Maybe<schema::ProgressSink::Client> sink)
      : timer(timer), sink(kj::mv(sink)) {}

  kj::Timer& timer;
  kj::Maybe<schema::ProgressSink::Client> sink;
  kj::Promise<void> sending = nullptr;
  bool busy = false;
  kj::String phase;
  kj::String subject;
  kj::TimePoint last = kj::origin<kj::TimePoint>();

  bool isDue(kj::StringPtr newPhase, kj::StringPtr newSubject, uint64_t done, uint64_t total) {
    bool isNew = phase != newPhase || subject != newSubject;
    bool isComplete = total != 0 && done >= total;
    return !busy && (isNew || isComplete || timer.now() - last >= kInterval);
  }

  void report(kj::StringPtr newPhase, kj::StringPtr newSubject, uint64_t done, uint64_t total) {
    KJ_IF_MAYBE (target, sink) {
      if (!isDue(newPhase, newSubject, done, total)) return;
      auto request = target->reportRequest();
      auto progress = request.initProgress();
      progress.setPhase(newPhase);
      progress.setSubject(newSubject);
      progress.setDone(done);
      progress.setTotal(total);
      phase = kj::str(newPhase);
      subject = kj::str(newSubject);
      last = timer.now();
      busy = true;
      sending = request.send()
                    .then([this]() { busy = false; }, [this](kj::Exception&&) { sink = nullptr; })
                    .eagerlyEvaluate(nullptr);
    }
  }
};

class Progress::Forwarder final : public schema::ProgressSink::Server {
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

Progress::Progress(kj::Timer& timer, kj::Maybe<schema::ProgressSink::Client> sink)
    : state(kj::refcounted<State>(timer, kj::mv(sink))) {}

Progress::Progress(Progress&& other) noexcept = default;
Progress::~Progress() noexcept(false) = default;

void Progress::report(kj::StringPtr phase, kj::StringPtr subject, uint64_t done, uint64_t total) {
  state->report(phase, subject, done, total);
}

schema::ProgressSink::Client Progress::forwarder() {
  return kj::heap<Forwarder>(kj::addRef(*state));
}

}  // namespace bulkhead
