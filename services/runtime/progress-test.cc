// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/progress.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <kj/async.h>

namespace bulkhead {
namespace {

// Notes what it is told; answers when it is let to.
class SlowSink final : public schema::ProgressSink::Server {
 public:
  explicit SlowSink(std::vector<std::string>& seen) : seen(seen) {}

  kj::Promise<void> report(ReportContext context) override {
    auto progress = context.getParams().getProgress();
    seen.push_back(std::string(progress.getPhase().cStr()) + " " +
                   std::to_string(progress.getDone()));
    auto paf = kj::newPromiseAndFulfiller<void>();
    answer = kj::mv(paf.fulfiller);
    return kj::mv(paf.promise);
  }

  kj::Own<kj::PromiseFulfiller<void>> answer;

 private:
  std::vector<std::string>& seen;
};

struct ProgressTest : public testing::Test {
  ~ProgressTest() noexcept override {}

  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  kj::TimerImpl timer{kj::origin<kj::TimePoint>()};
  std::vector<std::string> seen;
  kj::Own<SlowSink> owned = kj::heap<SlowSink>(seen);
  SlowSink& sink = *owned;
  schema::ProgressSink::Client client = kj::mv(owned);
  Progress progress{timer, client};

  void report(kj::StringPtr phase, uint64_t done, uint64_t total) {
    progress.report(phase, "it", done, total);
    waitScope.poll();
  }
  void answer() {
    sink.answer->fulfill();
    waitScope.poll();
  }
};

TEST_F(ProgressTest, NothingIsSentWhileOneIsUnderWay) {
  report("layer", 1, 10);
  timer.advanceTo(timer.now() + 1 * kj::SECONDS);
  report("layer", 2, 10);
  EXPECT_EQ(seen, (std::vector<std::string>{"layer 1"}));
  answer();
  report("layer", 3, 10);
  EXPECT_EQ(seen, (std::vector<std::string>{"layer 1", "layer 3"}));
}

TEST_F(ProgressTest, OnePhaseIsThrottledItsEndAndTheNextAreNot) {
  report("layer", 1, 10);
  answer();
  report("layer", 2, 10);
  EXPECT_EQ(seen.size(), 1u);
  report("layer", 10, 10);
  answer();
  report("pack", 0, 0);
  answer();
  EXPECT_EQ(seen, (std::vector<std::string>{"layer 1", "layer 10", "pack 0"}));
}

TEST_F(ProgressTest, ASinkThatFailsIsLeftAlone) {
  report("layer", 1, 10);
  sink.answer->reject(
      kj::Exception(kj::Exception::Type::FAILED, __FILE__, __LINE__, kj::str("no more")));
  waitScope.poll();
  report("pack", 0, 0);
  EXPECT_EQ(seen.size(), 1u);
}

TEST_F(ProgressTest, ForwardedReportsArriveAndOutliveTheMaker) {
  auto request = Progress(timer, client).forwarder().reportRequest();
  request.initProgress().setPhase("layer");
  auto done = request.send();
  waitScope.poll();
  EXPECT_EQ(seen, (std::vector<std::string>{"layer 0"}));
}

}  // namespace
}  // namespace bulkhead
