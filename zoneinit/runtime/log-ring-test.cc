// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/log-ring.h"

#include <gtest/gtest.h>

#include <utility>

#include <kj/async.h>
#include <kj/string.h>

namespace bulkhead::zone {
namespace {

void append(LogRing& ring, OutputStream stream, kj::StringPtr text, uint64_t now = 1000) {
  ring.append(stream, text.asBytes(), now);
}

kj::String readFrom(LogRing& ring, uint64_t position) {
  kj::Vector<char> all;
  for (;;) {
    auto chunk = ring.read(position);
    if (chunk.bytes.size() == 0) break;
    all.addAll(chunk.bytes.asChars());
    position = chunk.next;
  }
  return kj::heapString(all.begin(), all.size());
}

constexpr auto kOut = OutputStream::standardOutput;
constexpr auto kErr = OutputStream::standardError;

TEST(LogRingTest, KeepsStreamsApartAndInOrder) {
  LogRing ring(1 << 16);
  append(ring, kOut, "one");
  append(ring, kErr, "two");
  append(ring, kOut, "three");
  auto first = ring.read(0);
  EXPECT_EQ(first.stream, kOut);
  EXPECT_EQ(first.next, 3u);
  auto second = ring.read(first.next);
  EXPECT_EQ(second.stream, kErr);
  EXPECT_STREQ(readFrom(ring, 0).cStr(), "onetwothree");
  EXPECT_STREQ(readFrom(ring, 4).cStr(), "wothree");
  EXPECT_EQ(ring.read(11).bytes.size(), 0u);
}

TEST(LogRingTest, DropsTheOldestAndCountsIt) {
  LogRing ring(8192);
  for (int i = 0; i < 10'000; ++i) append(ring, kOut, kj::str(i, "\n"));
  EXPECT_GT(ring.droppedBytes(), 0u);
  EXPECT_LE(ring.end() - ring.begin(), 8192u);
  EXPECT_GE(ring.end() - ring.begin(), 4096u);
  auto chunk = ring.read(0);
  EXPECT_EQ(chunk.skipped, ring.begin());
  EXPECT_TRUE(readFrom(ring, 0).endsWith("9998\n9999\n"));
}

TEST(LogRingTest, BoundsSingleBytesInTurns) {
  LogRing ring(8192);
  for (int i = 0; i < 100'000; ++i) append(ring, i % 2 == 0 ? kOut : kErr, "x");
  EXPECT_LE(ring.end() - ring.begin(), 200u);
}

TEST(LogRingTest, TakesMoreThanItKeeps) {
  LogRing ring(4096);
  ring.append(kOut, kj::heapArray<kj::byte>(1 << 20), 1000);
  EXPECT_EQ(ring.end(), 1u << 20);
  EXPECT_LE(ring.end() - ring.begin(), 4096u);
}

TEST(LogRingTest, FindsTheLastLines) {
  LogRing ring(1 << 16);
  append(ring, kOut, "a\nb\n");
  append(ring, kErr, "c\n");
  append(ring, kOut, "d\ne\n");
  EXPECT_STREQ(readFrom(ring, ring.tail(1)).cStr(), "e\n");
  EXPECT_STREQ(readFrom(ring, ring.tail(3)).cStr(), "c\nd\ne\n");
  EXPECT_STREQ(readFrom(ring, ring.tail(99)).cStr(), "a\nb\nc\nd\ne\n");
  EXPECT_EQ(ring.tail(0), 0u);
  append(ring, kOut, "unfinished");
  EXPECT_STREQ(readFrom(ring, ring.tail(2)).cStr(), "e\nunfinished");
}

TEST(LogRingTest, KnowsWhenEachLineBegan) {
  LogRing ring(1 << 16);
  append(ring, kOut, "a\nb\nc", 10);  // positions 0, 2, 4
  append(ring, kErr, "x\n", 20);      // 5
  append(ring, kOut, "c\nd\n", 30);   // 7 goes on with the line of 4, 9 begins one
  append(ring, kOut, "e\n", 40);      // 11
  for (auto [position, time] : {std::pair<uint64_t, uint64_t>{0, 10},
                                {2, 10},
                                {4, 10},
                                {5, 20},
                                {6, 20},
                                {7, 10},
                                {8, 10},
                                {9, 30},
                                {11, 40}}) {
    EXPECT_EQ(ring.lineTime(position), time) << position;
  }
  EXPECT_THROW((void)ring.lineTime(13), kj::Exception);
}

TEST(LogRingTest, KeepsTimesWhereTheClockIsSetBack) {
  LogRing ring(1 << 16);
  append(ring, kOut, "a\n", 1'000);
  append(ring, kOut, "b\nc", 500);
  append(ring, kOut, "c\nd\n", uint64_t{1} << 60);
  EXPECT_EQ(ring.lineTime(0), 1'000u);
  EXPECT_EQ(ring.lineTime(2), 500u);
  EXPECT_EQ(ring.lineTime(5), 500u);
  EXPECT_EQ(ring.lineTime(7), uint64_t{1} << 60);
}

TEST(LogRingTest, ALineOverManySegmentsHasOneTime) {
  LogRing ring(1 << 16);
  for (uint64_t i = 0; i < 1'000; ++i) append(ring, kOut, "0123456789", 100 + i);
  EXPECT_EQ(ring.lineTime(9'999), 100u);
  append(ring, kOut, "\nnext", 5'000);
  EXPECT_EQ(ring.lineTime(10'000), 100u);
  EXPECT_EQ(ring.lineTime(10'001), 5'000u);
}

TEST(LogRingTest, TimesOfShortLinesStayBounded) {
  LogRing ring(8192);
  for (uint64_t i = 0; i < 100'000; ++i) append(ring, kOut, "x\n", i);
  // Each line costs its two bytes and eight of its time.
  EXPECT_LE(ring.end() - ring.begin(), 8192u / 5);
  EXPECT_GE(ring.end() - ring.begin(), 8192u / 10);
  EXPECT_EQ(ring.lineTime(ring.end() - 1), 99'999u);
}

TEST(LogRingTest, IsEmptyAtFirst) {
  LogRing ring(4096);
  EXPECT_EQ(ring.tail(5), 0u);
  EXPECT_EQ(ring.read(0).bytes.size(), 0u);
}

TEST(LogRingTest, WakesFollowers) {
  kj::EventLoop loop;
  kj::WaitScope ws(loop);
  LogRing ring(4096);
  auto waiting = ring.whenBeyond(0);
  EXPECT_FALSE(waiting.poll(ws));
  append(ring, kOut, "x");
  EXPECT_TRUE(waiting.poll(ws));
  waiting.wait(ws);
  auto atEnd = ring.whenBeyond(1);
  EXPECT_FALSE(atEnd.poll(ws));
  ring.close();
  EXPECT_TRUE(atEnd.poll(ws));
  EXPECT_TRUE(ring.whenBeyond(1).poll(ws));
}

}  // namespace
}  // namespace bulkhead::zone
