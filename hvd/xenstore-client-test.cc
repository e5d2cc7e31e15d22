// SPDX-License-Identifier: Apache-2.0
#include "hvd/xenstore-client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <kj/async-io.h>
#include <kj/debug.h>

#include "hvd/fake-xenstored.h"
#include "hvd/xen-headers.h"
#include "services/runtime/failure.h"

namespace bulkhead::hvd {
namespace {

using testing::ElementsAre;

struct XenstoreClientTest : testing::Test {
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  kj::TwoWayPipe pipe = kj::newTwoWayPipe();
  kj::TimerImpl clock{kj::origin<kj::TimePoint>()};
  kj::Own<FakeXenstored> daemon = kj::heap<FakeXenstored>(kj::mv(pipe.ends[1]));
  kj::Own<XenstoreClient> client = kj::heap<XenstoreClient>(kj::mv(pipe.ends[0]), clock);

  ~XenstoreClientTest() noexcept override {}

  std::string read(kj::StringPtr path) {
    auto value = client->read(path).wait(waitScope);
    KJ_IF_MAYBE (text, value) {
      return std::string(text->begin(), text->size());
    }
    return "(none)";
  }

  FailureCode failureCode(kj::Promise<void> promise) {
    try {
      promise.wait(waitScope);
    } catch (...) {
      return failureOf(kj::getCaughtExceptionAsKj()).code;
    }
    ADD_FAILURE() << "no failure";
    return FailureCode::INTERNAL;
  }
};

TEST_F(XenstoreClientTest, ReadsValuesAsTheyAre) {
  daemon->tree["/a"].value = std::string("x\0y", 3);
  daemon->tree["/empty"].value = "";
  EXPECT_EQ(read("/a"), std::string("x\0y", 3));
  EXPECT_EQ(read("/empty"), "");
  EXPECT_EQ(read("/absent"), "(none)");
}

TEST_F(XenstoreClientTest, ListsChildren) {
  daemon->tree["/d"];
  daemon->tree["/d/1"];
  daemon->tree["/d/2"];
  daemon->tree["/d/2/deep"];
  auto names = client->list("/d").wait(waitScope);
  ASSERT_EQ(names.size(), 2u);
  EXPECT_EQ(names[0], "1");
  EXPECT_EQ(names[1], "2");
  EXPECT_EQ(client->list("/absent").wait(waitScope).size(), 0u);
}

TEST_F(XenstoreClientTest, CommitsInOneGo) {
  client
      ->commit(kj::arr(secureNode("/d", {0, 5u}), writeNode("/d/a", "1"), writeNode("/d/b", "2"),
                       removeNode("/absent")))
      .wait(waitScope);
  EXPECT_EQ(daemon->listing(), "/d [n0 r5]\n/d/a = 1\n/d/b = 2\n");
  // The start, all changes together, the end.
  EXPECT_THAT(daemon->batches, ElementsAre(1, 5, 1));
}

TEST_F(XenstoreClientTest, TriesAgainWhenOthersWereFaster) {
  daemon->failCommits = 3;
  client->commit(kj::arr(writeNode("/a", "1"))).wait(waitScope);
  EXPECT_EQ(daemon->failCommits, 0);
  daemon->failCommits = 1000;
  EXPECT_EQ(failureCode(client->commit(kj::arr(writeNode("/a", "1")))), FailureCode::BUSY);
}

TEST_F(XenstoreClientTest, RefusesRequestsLongerThanTheProtocolAllows) {
  auto value = kj::str(kj::repeat('x', 4097));
  EXPECT_EQ(failureCode(client->commit(kj::arr(writeNode("/a", value)))), FailureCode::INVALID);
  // The connection is as good as before.
  daemon->tree["/b"].value = "1";
  EXPECT_EQ(read("/b"), "1");
}

TEST_F(XenstoreClientTest, MatchesRepliesOfPipelinedRequests) {
  for (int i = 0; i < 50; ++i) daemon->tree["/" + std::to_string(i)].value = std::to_string(i * 7);
  kj::Vector<kj::Promise<kj::Maybe<kj::String>>> reads;
  for (int i = 0; i < 50; ++i) reads.add(client->read(kj::str('/', i)));
  for (int i = 0; i < 50; ++i) {
    auto value = reads[static_cast<size_t>(i)].wait(waitScope);
    EXPECT_EQ(KJ_ASSERT_NONNULL(value), kj::str(i * 7));
  }
  EXPECT_THAT(daemon->batches, ElementsAre(50));
}

TEST_F(XenstoreClientTest, GivesEachWatchItsEvents) {
  auto one = client->watch("/one");
  auto two = client->watch("/two");
  EXPECT_EQ(one->next().wait(waitScope), "/one");
  EXPECT_EQ(two->next().wait(waitScope), "/two");
  client->commit(kj::arr(writeNode("/two/x", "1"), writeNode("/one", "1"))).wait(waitScope);
  EXPECT_EQ(two->next().wait(waitScope), "/two/x");
  EXPECT_EQ(one->next().wait(waitScope), "/one");
  auto waiting = two->next();
  EXPECT_FALSE(waiting.poll(waitScope));
  waiting = nullptr;
  two = nullptr;
  daemon->fire("/two");
  client->read("/one").wait(waitScope);
}

TEST_F(XenstoreClientTest, FoldsAFloodOfEvents) {
  auto watch = client->watch("/w");
  watch->next().wait(waitScope);
  for (int i = 0; i < 10'000; ++i) daemon->fire("/w/" + std::to_string(i));
  client->read("/w").wait(waitScope);
  int events = 0;
  for (auto next = watch->next(); next.poll(waitScope); next = watch->next()) ++events;
  EXPECT_LE(events, 257);
  EXPECT_GE(events, 1);
}

TEST_F(XenstoreClientTest, EverythingFailsOnceTheDaemonIsGone) {
  auto watch = client->watch("/w");
  watch->next().wait(waitScope);
  auto next = watch->next().ignoreResult();
  daemon = nullptr;
  auto reading = client->read("/a").ignoreResult();
  EXPECT_EQ(failureCode(kj::mv(reading)), FailureCode::UNREACHABLE);
  EXPECT_EQ(failureCode(kj::mv(next)), FailureCode::UNREACHABLE);
  EXPECT_EQ(failureCode(watch->next().ignoreResult()), FailureCode::UNREACHABLE);
  EXPECT_EQ(failureCode(client->commit(kj::arr(writeNode("/a", "")))), FailureCode::UNREACHABLE);
  EXPECT_FALSE(client->healthy());
}

TEST_F(XenstoreClientTest, RefusesADaemonThatBreaksTheProtocol) {
  xsd_sockmsg header{XS_READ, 1, 0, 5000};
  daemon->sendRaw(std::string(reinterpret_cast<const char*>(&header), sizeof header));
  auto reading = client->read("/a").ignoreResult();
  EXPECT_EQ(failureCode(kj::mv(reading)), FailureCode::UNREACHABLE);
}

TEST_F(XenstoreClientTest, RefusesAnswersNobodyAskedFor) {
  xsd_sockmsg header{XS_READ, 99, 0, 0};
  daemon->sendRaw(std::string(reinterpret_cast<const char*>(&header), sizeof header));
  EXPECT_EQ(failureCode(client->read("/a").ignoreResult()), FailureCode::UNREACHABLE);
}

TEST_F(XenstoreClientTest, IsUnhealthyWhenAnswersDoNotCome) {
  EXPECT_TRUE(client->healthy());
  auto reading = client->read("/a");
  EXPECT_TRUE(client->healthy());
  clock.advanceTo(clock.now() + 6 * kj::SECONDS);
  EXPECT_FALSE(client->healthy());
  reading.wait(waitScope);
  EXPECT_TRUE(client->healthy());
}

TEST_F(XenstoreClientTest, IntroducesWithAllThreeNumbers) {
  client->introduce(7, 0xfeffc, 3).wait(waitScope);
  EXPECT_THAT(daemon->introduced, ElementsAre("7 1044476 3"));
  client->release(7).wait(waitScope);
}

}  // namespace
}  // namespace bulkhead::hvd
