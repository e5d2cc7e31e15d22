// SPDX-License-Identifier: Apache-2.0
#include "idmd/ring/ring.h"

#include <gtest/gtest.h>

#include <thread>

#include "idmd/ring/ring-testing.h"

namespace bulkhead::ring {
namespace {

class RingTest : public testing::TestWithParam<uint32_t> {
 protected:
  RingTest()
      : memory(GetParam()),
        hostPages(memory.map()),
        guestPages(memory.map()),
        host(hostPages.bytes(), Side::host),
        guest(guestPages.bytes(), Side::guest) {}
  ~RingTest() noexcept override {}

  TestMemory memory;
  MappedPages hostPages;
  MappedPages guestPages;
  RingEnd host;
  RingEnd guest;
};

INSTANTIATE_TEST_SUITE_P(Orders, RingTest, testing::Values(0u, 1u, 4u));

TEST_P(RingTest, MovesOneByteEachWay) {
  kj::byte sent = 7;
  kj::byte got = 0;
  EXPECT_EQ(host.write(kj::arrayPtr(&sent, 1)), 1u);
  EXPECT_EQ(guest.read(kj::arrayPtr(&got, 1)), 1u);
  EXPECT_EQ(got, 7);
  sent = 9;
  EXPECT_EQ(guest.write(kj::arrayPtr(&sent, 1)), 1u);
  EXPECT_EQ(host.read(kj::arrayPtr(&got, 1)), 1u);
  EXPECT_EQ(got, 9);
}

TEST_P(RingTest, TakesNoMoreThanItHolds) {
  auto block = kj::heapArray<kj::byte>(host.size() + 100);
  EXPECT_EQ(host.write(block), host.size());
  EXPECT_EQ(host.write(block), 0u);
  EXPECT_EQ(guest.read(block.slice(0, 1)), 1u);
  EXPECT_EQ(host.write(block), 1u);
  EXPECT_EQ(guest.read(block), host.size());
  EXPECT_EQ(guest.read(block), 0u);
}

TEST_P(RingTest, KeepsBytesInOrderAcrossTheWrap) {
  Numbers numbers(GetParam() + 1);
  uint64_t sent = 0;
  uint64_t got = 0;
  auto block = kj::heapArray<kj::byte>(host.size() + 1);
  while (got < 40u * host.size()) {
    size_t want = numbers.below(block.size()) + 1;
    for (size_t i = 0; i < want; ++i) block[i] = patternAt(sent + i);
    sent += host.write(block.slice(0, want));
    size_t count = guest.read(block.slice(0, numbers.below(block.size()) + 1));
    for (size_t i = 0; i < count; ++i) ASSERT_EQ(block[i], patternAt(got + i));
    got += count;
  }
}

TEST_P(RingTest, AsksForNoEventWhileThePeerIsAwake) {
  (void)host.takeNotify();  // of having attached
  kj::byte byte = 1;
  host.write(kj::arrayPtr(&byte, 1));
  EXPECT_FALSE(host.takeNotify());
  guest.read(kj::arrayPtr(&byte, 1));
  EXPECT_EQ(guest.sleepUntilReadable(1), RingEnd::Sleep::armed);
  host.write(kj::arrayPtr(&byte, 1));
  EXPECT_TRUE(host.takeNotify());
  EXPECT_FALSE(host.takeNotify());
}

TEST_P(RingTest, WaitsForAllThatIsWanted) {
  (void)host.takeNotify();
  kj::byte bytes[16] = {};
  EXPECT_EQ(guest.sleepUntilReadable(16), RingEnd::Sleep::armed);
  host.write(kj::arrayPtr(bytes, 15));
  EXPECT_FALSE(host.takeNotify());
  host.write(kj::arrayPtr(bytes, 1));
  EXPECT_TRUE(host.takeNotify());
}

TEST_P(RingTest, DoesNotSleepOverBytesThatCameMeanwhile) {
  kj::byte byte = 1;
  host.write(kj::arrayPtr(&byte, 1));
  EXPECT_EQ(guest.sleepUntilReadable(1), RingEnd::Sleep::notNeeded);
}

TEST_P(RingTest, WakesAWriterWhenThereIsRoom) {
  auto block = kj::heapArray<kj::byte>(host.size());
  EXPECT_EQ(host.write(block), host.size());
  EXPECT_EQ(host.sleepUntilWritable(10), RingEnd::Sleep::armed);
  (void)guest.takeNotify();
  guest.read(block.slice(0, 9));
  EXPECT_FALSE(guest.takeNotify());
  guest.read(block.slice(0, 1));
  EXPECT_TRUE(guest.takeNotify());
  EXPECT_EQ(host.sleepUntilWritable(10), RingEnd::Sleep::notNeeded);
}

TEST_P(RingTest, WritesBeforeTheHostComesAreKept) {
  TestMemory fresh(GetParam());
  auto guestSide = fresh.map();
  RingEnd early(guestSide.bytes(), Side::guest);
  kj::byte byte = 5;
  EXPECT_EQ(early.state(), RingState::open);
  EXPECT_EQ(early.write(kj::arrayPtr(&byte, 1)), 1u);
  auto hostSide = fresh.map();
  RingEnd late(hostSide.bytes(), Side::host);
  EXPECT_TRUE(late.takeNotify());
  byte = 0;
  EXPECT_EQ(late.read(kj::arrayPtr(&byte, 1)), 1u);
  EXPECT_EQ(byte, 5);
}

TEST_P(RingTest, ALeavingPeersLastBytesAreRead) {
  kj::byte byte = 5;
  guest.write(kj::arrayPtr(&byte, 1));
  guest.close();
  EXPECT_TRUE(guest.takeNotify());
  EXPECT_EQ(host.state(), RingState::peerGone);
  EXPECT_EQ(host.write(kj::arrayPtr(&byte, 1)), 0u);
  EXPECT_EQ(host.read(kj::arrayPtr(&byte, 1)), 1u);
  EXPECT_EQ(host.sleepUntilReadable(1), RingEnd::Sleep::notNeeded);
}

TEST_P(RingTest, TheGuestSeesTheHostLeave) {
  EXPECT_EQ(guest.state(), RingState::open);
  host.close();
  EXPECT_EQ(guest.state(), RingState::peerGone);
  EXPECT_EQ(guest.sleepUntilReadable(1), RingEnd::Sleep::notNeeded);
}

TEST_P(RingTest, IsUsedByOneHostOnce) {
  host.close();
  auto again = memory.map();
  EXPECT_ANY_THROW(RingEnd(again.bytes(), Side::host));
}

TEST(RingOffer, IsReadBackAsWritten) {
  TestMemory memory(1);
  auto pages = memory.map();
  KJ_IF_MAYBE (offer, readOffer(pages.bytes())) {
    EXPECT_EQ(offer->order, 1u);
    EXPECT_EQ(offer->dataPages, 4u);
    EXPECT_EQ(offer->grants[3], 103u);
  } else {
    ADD_FAILURE() << "no offer";
  }
}

TEST(RingOffer, OfAnotherFormIsNone) {
  TestMemory memory;
  auto pages = memory.map();
  auto& control = *reinterpret_cast<ControlPage*>(pages.bytes().begin());
  for (uint32_t order : {kMaxOrder + 1, 31u, 32u, 0xffffffffu}) {
    control.order = order;
    EXPECT_TRUE(readOffer(pages.bytes()) == nullptr) << order;
  }
  control.order = kMaxOrder;
  EXPECT_FALSE(readOffer(pages.bytes()) == nullptr);
  control.version = 2;
  EXPECT_TRUE(readOffer(pages.bytes()) == nullptr);
  control.version = kVersion;
  control.magic = 0;
  EXPECT_TRUE(readOffer(pages.bytes()) == nullptr);
}

// Two threads at full speed, no events: what is read is what was written. Under ThreadSanitizer
// this also shows that indices alone order the bytes.
TEST(RingThreads, AgreeOnEveryByte) {
  constexpr uint64_t kTotal = 8u << 20;
  TestMemory memory;
  auto hostPages = memory.map();
  // One mapping for both, so that the sanitizer sees one memory.
  RingEnd host(hostPages.bytes(), Side::host);
  RingEnd guest(hostPages.bytes(), Side::guest);
  std::thread writer([&]() {
    Numbers numbers(1);
    kj::byte block[5000];
    uint64_t sent = 0;
    while (sent < kTotal) {
      size_t want = kj::min(numbers.below(sizeof block) + 1, kTotal - sent);
      for (size_t i = 0; i < want; ++i) block[i] = patternAt(sent + i);
      auto left = kj::arrayPtr(block, want);
      while (left.size() > 0) {
        size_t count = guest.write(left);
        if (count == 0) std::this_thread::yield();
        left = left.slice(count, left.size());
      }
      sent += want;
    }
  });
  Numbers numbers(2);
  kj::byte block[7000];
  uint64_t got = 0;
  uint64_t wrong = 0;
  while (got < kTotal) {
    size_t count = host.read(kj::arrayPtr(block, numbers.below(sizeof block) + 1));
    if (count == 0) std::this_thread::yield();
    for (size_t i = 0; i < count; ++i) wrong += block[i] != patternAt(got + i);
    got += count;
  }
  writer.join();
  EXPECT_EQ(wrong, 0u);
  EXPECT_EQ(host.breach(), "");
  EXPECT_EQ(guest.breach(), "");
}

}  // namespace
}  // namespace bulkhead::ring
