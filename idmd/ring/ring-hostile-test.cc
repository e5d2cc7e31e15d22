// SPDX-License-Identifier: Apache-2.0
//
// Peers that write whatever they like into the shared page. Names of cases are those of the threat
// list: I1 impossible indices, I2 values that change between check and use, I3 our own fields
// overwritten, I9 the page reset under us.
#include <gtest/gtest.h>

#include <thread>

#include "idmd/ring/ring-testing.h"
#include "idmd/ring/ring.h"

namespace bulkhead::ring {
namespace {

class HostileRing : public testing::Test {
 protected:
  HostileRing()
      : hostPages(memory.map()),
        guestPages(memory.map()),
        host(hostPages.bytes(), Side::host),
        control(*reinterpret_cast<ControlPage*>(guestPages.bytes().begin())) {}
  ~HostileRing() noexcept override {}

  TestMemory memory;
  MappedPages hostPages;
  MappedPages guestPages;
  RingEnd host;
  ControlPage& control;
  kj::byte block[1u << 17] = {};

  size_t readAll() { return host.read(kj::arrayPtr(block, sizeof block)); }
};

TEST_F(HostileRing, I1MoreProducedThanFits) {
  control.toHost.producer.produced = host.size();
  EXPECT_EQ(readAll(), host.size());
  control.toHost.producer.produced = 2 * host.size() + 1;
  EXPECT_EQ(readAll(), 0u);
  EXPECT_EQ(host.state(), RingState::broken);
  EXPECT_EQ(host.sleepUntilReadable(1), RingEnd::Sleep::notNeeded);
}

TEST_F(HostileRing, I1ProducedBehindConsumed) {
  control.toHost.producer.produced = 10;
  EXPECT_EQ(readAll(), 10u);
  control.toHost.producer.produced = 9;
  EXPECT_EQ(readAll(), 0u);
  EXPECT_EQ(host.state(), RingState::broken);
}

TEST_F(HostileRing, I1ProducedIsTakenBack) {
  control.toHost.producer.produced = 10;
  EXPECT_EQ(host.read(kj::arrayPtr(block, 2)), 2u);
  control.toHost.producer.produced = 5;
  EXPECT_EQ(readAll(), 0u);
  EXPECT_EQ(host.state(), RingState::broken);
}

TEST_F(HostileRing, I1ConsumedWhatWasNeverWritten) {
  EXPECT_EQ(host.write(kj::arrayPtr(block, 10)), 10u);
  control.toGuest.consumer.consumed = 11;
  EXPECT_EQ(host.write(kj::arrayPtr(block, 10)), 0u);
  EXPECT_EQ(host.state(), RingState::broken);
}

TEST_F(HostileRing, I1ConsumedGoesBack) {
  EXPECT_EQ(host.write(kj::arrayPtr(block, 10)), 10u);
  control.toGuest.consumer.consumed = 8;
  EXPECT_EQ(host.write(kj::arrayPtr(block, 1)), 1u);
  control.toGuest.consumer.consumed = 7;
  EXPECT_EQ(host.write(kj::arrayPtr(block, 1)), 0u);
  EXPECT_EQ(host.state(), RingState::broken);
}

TEST_F(HostileRing, I1SignsDoNotMatter) {
  for (uint32_t value : {0x80000000u, 0x7fffffffu, 0xffffffffu, 0xffff0000u}) {
    TestMemory other;
    auto pages = other.map();
    RingEnd fresh(pages.bytes(), Side::host);
    auto& page = *reinterpret_cast<ControlPage*>(pages.bytes().begin());
    page.toHost.producer.produced = value;
    EXPECT_EQ(fresh.read(kj::arrayPtr(block, sizeof block)), 0u);
    EXPECT_EQ(fresh.state(), RingState::broken) << value;
  }
}

TEST_F(HostileRing, I3OurOwnFieldsAreNeverReadBack) {
  EXPECT_EQ(host.write(kj::arrayPtr(block, 10)), 10u);
  control.toGuest.producer.produced = 0x12345678;
  control.toHost.consumer.consumed = 0x87654321;
  control.toHost.producer.produced = 5;
  EXPECT_EQ(readAll(), 5u);
  EXPECT_EQ(control.toHost.consumer.consumed, 5u);
  EXPECT_EQ(host.write(kj::arrayPtr(block, 10)), 10u);
  EXPECT_EQ(control.toGuest.producer.produced, 20u);
  EXPECT_EQ(host.state(), RingState::open);
}

TEST_F(HostileRing, I9TheWholePageIsZeroed) {
  control.toHost.producer.produced = 10;
  EXPECT_EQ(readAll(), 10u);
  memset(guestPages.bytes().begin(), 0, kPageBytes);
  EXPECT_EQ(readAll(), 0u);
  EXPECT_NE(host.state(), RingState::open);
}

TEST_F(HostileRing, I9TheOfferChangesAfterwards) {
  control.order = 31;
  control.magic = 1;
  control.toHost.producer.produced = host.size();
  EXPECT_EQ(readAll(), host.size());
  EXPECT_EQ(host.state(), RingState::open);
}

TEST_F(HostileRing, ABrokenRingStaysBroken) {
  control.toHost.producer.produced = 0x40000000;
  EXPECT_EQ(readAll(), 0u);
  control.toHost.producer.produced = 0;
  EXPECT_EQ(readAll(), 0u);
  EXPECT_EQ(host.write(kj::arrayPtr(block, 1)), 0u);
  EXPECT_EQ(host.state(), RingState::broken);
}

// I2: an index that is right whenever it is checked and wrong whenever it is used must not exist.
// Reads land in a buffer whose far side is watched.
TEST_F(HostileRing, I2AFlippingIndexNeverReachesBeyondTheRing) {
  std::atomic<bool> stop{false};
  std::thread flipper([&]() {
    uint32_t right = 0;
    while (!stop.load(std::memory_order_relaxed)) {
      control.toHost.producer.produced.store(right, std::memory_order_relaxed);
      control.toGuest.consumer.consumed.store(0xdeadbeef, std::memory_order_relaxed);
      control.toHost.producer.produced.store(0x7fffffff, std::memory_order_relaxed);
      control.toGuest.consumer.consumed.store(0, std::memory_order_relaxed);
    }
  });
  auto pages = memory.map();
  uint32_t opened = 0;
  for (int round = 0; round < 20000; ++round) {
    control.hostAttached = 0;
    RingEnd end(pages.bytes(), Side::host);
    kj::byte guarded[256];
    memset(guarded, 0xa5, sizeof guarded);
    size_t count = end.read(kj::arrayPtr(guarded, 128));
    ASSERT_LE(count, 128u);
    for (size_t i = 128; i < sizeof guarded; ++i) ASSERT_EQ(guarded[i], 0xa5);
    ASSERT_LE(end.write(kj::arrayPtr(guarded, 128)), 128u);
    (void)end.sleepUntilReadable(64);
    (void)end.sleepUntilWritable(64);
    opened += end.state() == RingState::open;
  }
  stop = true;
  flipper.join();
  RecordProperty("rounds_that_saw_only_right_values", static_cast<int>(opened));
}

// Any word of the control page may take any value at any time: nothing crashes, nothing comes out
// that was not asked for, and whatever is broken stays so.
TEST_F(HostileRing, RandomPagesAreSurvived) {
  constexpr uint64_t kSeed = 20251121;
  Numbers numbers(kSeed);
  auto words = reinterpret_cast<std::atomic<uint32_t>*>(guestPages.bytes().begin());
  control.hostAttached = 0;
  auto end = kj::heap<RingEnd>(hostPages.bytes(), Side::host);
  int broken = 0;
  for (int step = 0; step < 100000; ++step) {
    size_t word = numbers.below(kPageBytes / 4);
    // Near misses as often as noise: most of the rules are about distances.
    uint32_t value = static_cast<uint32_t>(numbers.next());
    if (numbers.below(2) == 0)
      value = words[word].load() + static_cast<uint32_t>(numbers.below(64));
    words[numbers.below(4) == 0 ? word : 16 + numbers.below(80)].store(value);
    size_t want = numbers.below(4096);
    switch (numbers.below(5)) {
      case 0:
        ASSERT_LE(end->read(kj::arrayPtr(block, want)), want) << step;
        break;
      case 1:
        ASSERT_LE(end->write(kj::arrayPtr(block, want)), want) << step;
        break;
      case 2:
        (void)end->sleepUntilReadable(want);
        break;
      case 3:
        (void)end->sleepUntilWritable(want);
        break;
      default:
        (void)readOffer(guestPages.bytes());
        (void)end->takeNotify();
    }
    if (end->state() == RingState::open) continue;
    broken += end->state() == RingState::broken;
    formatRing(guestPages.bytes(), kj::heapArray<uint32_t>(kMaxDataPages));
    end = kj::heap<RingEnd>(hostPages.bytes(), Side::host);
  }
  EXPECT_GT(broken, 100);
}

}  // namespace
}  // namespace bulkhead::ring
