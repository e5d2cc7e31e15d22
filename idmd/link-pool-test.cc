// SPDX-License-Identifier: Apache-2.0
#include "idmd/link-pool.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "services/runtime/failure.h"
#include "services/runtime/testing/listening-socket.h"

namespace bulkhead {
namespace {

// Stands where the service manager does: takes every connection and keeps it.
class LinkPoolTest : public testing::Test {
 protected:
  LinkPoolTest() { unlink(path.cStr()); }
  ~LinkPoolTest() noexcept override { unlink(path.cStr()); }

  void listen() {
    receiver = io.lowLevelProvider->wrapListenSocketFd(listenAt(path));
    accepting = accept().eagerlyEvaluate(nullptr);
  }
  // Until nothing more happens.
  void settle() {
    for (int i = 0; i < 10; ++i) io.waitScope.poll();
  }
  kj::Promise<void> accept() {
    for (;;) accepted.add(co_await receiver->accept());
  }

  kj::AsyncIoContext io = kj::setupAsyncIo();
  Log log{"test"};
  kj::String path = kj::str("/tmp/link-pool-test-", getpid(), ".sock");
  kj::Own<kj::ConnectionReceiver> receiver;
  kj::Vector<kj::Own<kj::AsyncIoStream>> accepted;
  kj::Promise<void> accepting = nullptr;
  LinkPool pool{*io.lowLevelProvider, path, {}, log};
};

TEST_F(LinkPoolTest, OneIsKeptAhead) {
  listen();
  pool.prepare();
  settle();
  EXPECT_EQ(accepted.size(), 1u);
  auto first = pool.take();
  EXPECT_EQ(accepted.size(), 1u) << "the one that was ready was not taken";
  settle();
  EXPECT_EQ(accepted.size(), 2u) << "the next was not started";
}

TEST_F(LinkPoolTest, OneThatEndedIsNotHandedOut) {
  listen();
  pool.prepare();
  settle();
  accepted.clear();
  settle();
  auto fresh = pool.take();
  settle();
  // The fresh one and the next one.
  ASSERT_EQ(accepted.size(), 2u);
  bool disconnected = false;
  auto watch = fresh->whenClosed().then([&]() { disconnected = true; }).eagerlyEvaluate(nullptr);
  settle();
  EXPECT_FALSE(disconnected);
}

TEST_F(LinkPoolTest, NobodyListeningIsAnErrorOnlyWhenOneIsWanted) {
  pool.prepare();
  try {
    pool.take();
    FAIL() << "a connection to nobody";
  } catch (const kj::Exception& e) {
    EXPECT_TRUE(isDisconnected(e));
  }
  listen();
  auto link = pool.take();
  settle();
  EXPECT_EQ(accepted.size(), 2u);
}

}  // namespace
}  // namespace bulkhead
