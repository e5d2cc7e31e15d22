// SPDX-License-Identifier: Apache-2.0
#include "idmd/ring/ring-stream.h"

#include <capnp/rpc-twoparty.h>
#include <gtest/gtest.h>
#include <kj/thread.h>

#include "idmd/ring/ring-testing.h"
#include "schemas/common.capnp.h"

namespace bulkhead::ring {
namespace {

// Both ends of a ring in one event loop.
struct Pair {
  kj::AsyncIoContext io = kj::setupAsyncIo();
  TestMemory memory;
  TestEvents events;
  kj::Own<RingStream> host;
  kj::Own<RingStream> guest;

  explicit Pair(RingLimits limits = {}, uint32_t order = kDefaultOrder) : memory(order) {
    guest = kj::heap<RingStream>(memory.map(), Side::guest, channel(events.guest), timer(), limits);
    host = kj::heap<RingStream>(memory.map(), Side::host, channel(events.host), timer(), limits);
  }

  kj::Timer& timer() { return io.provider->getTimer(); }

  kj::Own<EventChannel> channel(kj::AutoCloseFd& fd) {
    return openEventChannel(io.unixEventPort, kj::mv(fd), 1);
  }
};

// Loses events: of `out of` notifications in a row only the last is sent.
class LossyChannel final : public EventChannel {
 public:
  LossyChannel(kj::Own<EventChannel> inner, uint32_t outOf) : inner(kj::mv(inner)), outOf(outOf) {}
  void notify() override {
    if (++count % outOf == 0) inner->notify();
  }
  kj::Promise<void> whenEvent() override { return inner->whenEvent(); }

 private:
  kj::Own<EventChannel> inner;
  uint32_t outOf;
  uint32_t count = 0;
};

kj::Array<kj::byte> pattern(size_t size) {
  auto result = kj::heapArray<kj::byte>(size);
  for (size_t i = 0; i < size; ++i) result[i] = patternAt(i);
  return result;
}

TEST(RingStreamTest, CarriesMoreThanItHolds) {
  Pair pair;
  auto sent = pattern(1u << 20);
  auto got = kj::heapArray<kj::byte>(sent.size());
  auto writing = pair.guest->write(sent.begin(), sent.size());
  auto count = pair.host->tryRead(got.begin(), got.size(), got.size()).wait(pair.io.waitScope);
  writing.wait(pair.io.waitScope);
  EXPECT_EQ(count, sent.size());
  EXPECT_TRUE(got == sent);
}

TEST(RingStreamTest, GathersPieces) {
  Pair pair;
  auto sent = pattern(200000);
  kj::ArrayPtr<const kj::byte> pieces[] = {sent.slice(0, 1), sent.slice(1, 1),
                                           sent.slice(1, 150000), sent.slice(150000, 200000)};
  auto writing = pair.host->write(kj::arrayPtr(pieces, 4));
  auto got = kj::heapArray<kj::byte>(sent.size());
  pair.guest->read(got.begin(), got.size()).wait(pair.io.waitScope);
  writing.wait(pair.io.waitScope);
  EXPECT_TRUE(got == sent);
}

TEST(RingStreamTest, GivesWhatThereIsOnceItIsEnough) {
  Pair pair;
  kj::byte got[100];
  auto reading = pair.host->tryRead(got, 10, 100);
  EXPECT_FALSE(reading.poll(pair.io.waitScope));
  pair.guest->write("12345", 5).wait(pair.io.waitScope);
  EXPECT_FALSE(reading.poll(pair.io.waitScope));
  pair.guest->write("678901234", 9).wait(pair.io.waitScope);
  EXPECT_EQ(reading.wait(pair.io.waitScope), 14u);
}

TEST(RingStreamTest, ACancelledReadLosesNothing) {
  Pair pair;
  kj::byte got[100];
  {
    auto reading = pair.host->tryRead(got, 10, 100);
  }
  pair.guest->write("abc", 3).wait(pair.io.waitScope);
  EXPECT_EQ(pair.host->tryRead(got, 1, 100).wait(pair.io.waitScope), 3u);
}

TEST(RingStreamTest, EndsWhenThePeerLeaves) {
  Pair pair;
  kj::byte got[100];
  pair.guest->write("last", 4).wait(pair.io.waitScope);
  auto gone = pair.host->whenWriteDisconnected();
  EXPECT_FALSE(gone.poll(pair.io.waitScope));
  pair.guest = nullptr;
  gone.wait(pair.io.waitScope);
  EXPECT_EQ(pair.host->tryRead(got, 1, 100).wait(pair.io.waitScope), 4u);
  EXPECT_EQ(pair.host->tryRead(got, 1, 100).wait(pair.io.waitScope), 0u);
  EXPECT_ANY_THROW(pair.host->write("x", 1).wait(pair.io.waitScope));
}

TEST(RingStreamTest, APendingReadSeesThePeerLeave) {
  Pair pair;
  kj::byte got[100];
  auto reading = pair.guest->tryRead(got, 1, 100);
  EXPECT_FALSE(reading.poll(pair.io.waitScope));
  pair.host = nullptr;
  EXPECT_EQ(reading.wait(pair.io.waitScope), 0u);
}

TEST(RingStreamTest, ABreachEndsBothDirections) {
  Pair pair;
  auto pages = pair.memory.map();
  auto& control = *reinterpret_cast<ControlPage*>(pages.bytes().begin());
  auto big = pattern(100000);
  kj::byte got[100];
  auto reading = pair.host->tryRead(got, 1, 100);
  auto writing = pair.host->write(big.begin(), big.size());
  EXPECT_FALSE(reading.poll(pair.io.waitScope));
  EXPECT_FALSE(writing.poll(pair.io.waitScope));
  // The write's event makes the host look, and by then the index is impossible.
  pair.guest->write("x", 1).wait(pair.io.waitScope);
  control.toHost.producer.produced = 0x7fffffff;
  EXPECT_ANY_THROW(reading.wait(pair.io.waitScope));
  EXPECT_ANY_THROW(writing.wait(pair.io.waitScope));
  pair.host->whenWriteDisconnected().wait(pair.io.waitScope);
  EXPECT_NE(pair.host->breach(), "");
}

// I6: with most events lost the bytes still arrive, by the check that runs while there is traffic.
TEST(RingStreamTest, I6LostEventsOnlyCostTime) {
  RingLimits limits;
  limits.firstCheck = 1 * kj::MILLISECONDS;
  kj::AsyncIoContext io = kj::setupAsyncIo();
  TestMemory memory;
  TestEvents events;
  auto& timer = io.provider->getTimer();
  auto lossy = [&](kj::AutoCloseFd& fd) -> kj::Own<EventChannel> {
    return kj::heap<LossyChannel>(openEventChannel(io.unixEventPort, kj::mv(fd), 1), 7);
  };
  RingStream guest(memory.map(), Side::guest, lossy(events.guest), timer, limits);
  RingStream host(memory.map(), Side::host, lossy(events.host), timer, limits);
  auto sent = pattern(3u << 20);
  auto got = kj::heapArray<kj::byte>(sent.size());
  auto writing = guest.write(sent.begin(), sent.size());
  auto reading = host.tryRead(got.begin(), got.size(), got.size());
  reading.wait(io.waitScope);
  writing.wait(io.waitScope);
  EXPECT_TRUE(got == sent);
}

// I4: a peer that asks and asks and takes no answer is cut off once it sent enough.
TEST(RingStreamTest, I4APeerThatNeverReadsIsCutOff) {
  RingLimits limits;
  limits.unreadAnswers = 256u << 10;
  Pair pair(limits);
  auto answers = pattern(200000);
  auto writing = pair.host->write(answers.begin(), answers.size());
  auto flood = pattern(1u << 20);
  auto flooding = pair.guest->write(flood.begin(), flood.size());
  auto got = kj::heapArray<kj::byte>(flood.size());
  auto reading = pair.host->tryRead(got.begin(), got.size(), got.size());
  EXPECT_ANY_THROW(reading.wait(pair.io.waitScope));
  EXPECT_ANY_THROW(writing.wait(pair.io.waitScope));
}

// I5: a peer that raises events all the time costs at most one look a pause.
TEST(RingStreamTest, I5AStormOfEventsIsPaused) {
  class Storm final : public EventChannel {
   public:
    explicit Storm(uint64_t& count) : count(count) {}
    void notify() override {}
    kj::Promise<void> whenEvent() override {
      ++count;
      return kj::READY_NOW;
    }

   private:
    uint64_t& count;
  };
  kj::AsyncIoContext io = kj::setupAsyncIo();
  TestMemory memory;
  uint64_t count = 0;
  RingLimits limits;
  RingStream host(memory.map(), Side::host, kj::heap<Storm>(count), io.provider->getTimer(),
                  limits);
  io.provider->getTimer().afterDelay(100 * kj::MILLISECONDS).wait(io.waitScope);
  EXPECT_LE(count, limits.idleEvents + 12);
}

// A zone that always has more to say does not keep the loop from its other sources.
TEST(RingStreamTest, AFullRingDoesNotStarveTimers) {
  RingLimits limits;
  limits.bytesPerTurn = 4096;
  Pair pair(limits);
  auto block = pattern(4096);
  kj::byte got[4096];
  bool fired = false;
  auto timer = pair.timer().afterDelay(0 * kj::SECONDS).then([&]() { fired = true; });
  auto alarm = timer.eagerlyEvaluate(nullptr);
  int rounds = 0;
  while (!fired && rounds < 1000) {
    pair.guest->write(block.begin(), block.size()).wait(pair.io.waitScope);
    pair.host->tryRead(got, 4096, 4096).wait(pair.io.waitScope);
    ++rounds;
  }
  EXPECT_LT(rounds, 100);
}

// Echo stream for RPC over the ring between two event loops in two threads.
class Sink final : public schema::ByteStream::Server {
 public:
  kj::Promise<void> write(WriteContext context) override {
    bytes += context.getParams().getBytes().size();
    return kj::READY_NOW;
  }
  kj::Promise<void> end(EndContext) override { return kj::READY_NOW; }

 private:
  uint64_t bytes = 0;
};

TEST(RingStreamTest, CarriesRpcBetweenTwoLoops) {
  TestMemory memory;
  TestEvents events;
  kj::Thread guest([&]() {
    kj::AsyncIoContext io = kj::setupAsyncIo();
    RingStream stream(memory.map(), Side::guest,
                      openEventChannel(io.unixEventPort, kj::mv(events.guest), 1),
                      io.provider->getTimer());
    capnp::TwoPartyServer server(kj::heap<Sink>());
    server.accept(stream).wait(io.waitScope);
  });
  kj::AsyncIoContext io = kj::setupAsyncIo();
  RingStream stream(memory.map(), Side::host,
                    openEventChannel(io.unixEventPort, kj::mv(events.host), 1),
                    io.provider->getTimer());
  capnp::TwoPartyClient client(stream);
  auto sink = client.bootstrap().castAs<schema::ByteStream>();
  auto block = pattern(60000);
  for (int i = 0; i < 200; ++i) {
    auto request = sink.writeRequest();
    request.setBytes(block);
    request.send().wait(io.waitScope);
  }
  sink.endRequest().send().wait(io.waitScope);
}

}  // namespace
}  // namespace bulkhead::ring
