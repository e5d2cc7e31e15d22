// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/log-ring.h"

#include <gtest/gtest.h>

#include <kj/async.h>
#include <kj/string.h>

namespace bulkhead::zone {
namespace {

void append(LogRing& ring, OutputStream stream, kj::StringPtr text) {
  ring.append(stream, text.asBytes());
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
  ring.append(kOut, kj::heapArray<kj::byte>(1 << 20));
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
