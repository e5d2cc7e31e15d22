// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/log-reader.h"

#include <gtest/gtest.h>

#include <string>

namespace bulkhead::zone {
namespace {

constexpr auto kOut = OutputStream::standardOutput;
constexpr auto kErr = OutputStream::standardError;
constexpr uint64_t kSecond = 1'000'000'000;

struct Streams {
  std::string out;
  std::string err;
};

class LogReaderTest : public testing::Test {
 public:
  ~LogReaderTest() noexcept override {}

 protected:
  LogRing ring{1 << 16};

  void append(OutputStream stream, kj::StringPtr text, uint64_t now) {
    ring.append(stream, text.asBytes(), now);
  }

  Streams rest(LogReader& reader) {
    Streams streams;
    for (;;) {
      KJ_IF_MAYBE (piece, reader.next()) {
        EXPECT_LE(piece->bytes.size(), 64u << 10);
        auto chars = piece->bytes.asChars();
        (piece->stream == kOut ? streams.out : streams.err).append(chars.begin(), chars.size());
      } else {
        return streams;
      }
    }
  }

  Streams read(LogSelection selection) {
    LogReader reader(ring, selection);
    return rest(reader);
  }
};

TEST_F(LogReaderTest, GivesEverythingAsItIs) {
  append(kOut, "a\nb", 1);
  append(kErr, "x", 2);
  auto all = read({});
  EXPECT_EQ(all.out, "a\nb");
  EXPECT_EQ(all.err, "x");
}

TEST_F(LogReaderTest, CutsAtLinesByTheTimeOfTheirFirstByte) {
  append(kOut, "one\ntwo", 10);
  append(kErr, "err\n", 20);
  append(kOut, " goes on\nthree\n", 30);
  append(kOut, "four\n", 40);
  auto since = read({.since = 20});
  EXPECT_EQ(since.out, "three\nfour\n");
  EXPECT_EQ(since.err, "err\n");
  auto until = read({.until = 29});
  EXPECT_EQ(until.out, "one\ntwo goes on\n");
  EXPECT_EQ(until.err, "err\n");
  EXPECT_EQ(read({.since = 30, .until = 30}).out, "three\n");
  EXPECT_EQ(read({.since = 41}).out, "");
  EXPECT_EQ(read({.tailLines = 3, .since = 30}).out, "three\nfour\n");
  EXPECT_EQ(read({.tailLines = 1, .since = 10}).out, "four\n");
}

TEST_F(LogReaderTest, StampsEachLineOfEachStreamOnce) {
  append(kOut, "first\nsec", 1'000'000'000 * kSecond + 123'456'789);
  append(kErr, "err", 1'000'000'001 * kSecond);
  append(kOut, "ond\n\n", 1'000'000'002 * kSecond);
  append(kErr, "or\n", 1'000'000'003 * kSecond);
  auto stamped = read({.stamps = LineStamps::rfc3339});
  EXPECT_EQ(stamped.out,
            "2001-09-09T01:46:40.123456789Z first\n"
            "2001-09-09T01:46:40.123456789Z second\n"
            "2001-09-09T01:46:42.000000000Z \n");
  EXPECT_EQ(stamped.err, "2001-09-09T01:46:41.000000000Z error\n");
}

TEST_F(LogReaderTest, GoesOnWithALineThatGrows) {
  append(kOut, "a", kSecond);
  LogReader reader(ring, {.stamps = LineStamps::rfc3339});
  EXPECT_EQ(rest(reader).out, "1970-01-01T00:00:01.000000000Z a");
  append(kOut, "b\n", 2 * kSecond);
  EXPECT_EQ(rest(reader).out, "b\n");
  append(kOut, "c\n", 3 * kSecond);
  EXPECT_EQ(rest(reader).out, "1970-01-01T00:00:03.000000000Z c\n");
}

TEST_F(LogReaderTest, EmptyLinesGrowNoPieceBeyondWhatAStreamTakes) {
  for (int i = 0; i < 10'000; ++i) append(kOut, "\n", kSecond);
  auto stamped = read({.stamps = LineStamps::rfc3339});
  EXPECT_EQ(stamped.out.size(), 10'000u * 32);
}

TEST_F(LogReaderTest, ALossBehindAReaderBeginsANewLine) {
  append(kOut, "begun", kSecond);
  LogReader reader(ring, {.stamps = LineStamps::rfc3339});
  EXPECT_EQ(rest(reader).out, "1970-01-01T00:00:01.000000000Z begun");
  for (int i = 0; i < 100'000; ++i) append(kOut, "x\n", 2 * kSecond);
  auto after = rest(reader).out;
  EXPECT_EQ(after.substr(0, 32), "\n1970-01-01T00:00:02.000000000Z ");
}

TEST_F(LogReaderTest, ALineWithoutItsBeginningIsStampedAndCutAsTheWhole) {
  append(kOut, std::string(200'000, 'x').c_str(), kSecond);
  append(kOut, "\n", 2 * kSecond);
  EXPECT_EQ(read({.since = 2 * kSecond}).out, "");
  EXPECT_EQ(read({.stamps = LineStamps::rfc3339}).out.substr(0, 32),
            "1970-01-01T00:00:01.000000000Z x");
}

}  // namespace
}  // namespace bulkhead::zone
