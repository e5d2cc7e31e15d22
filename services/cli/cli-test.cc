// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <stdlib.h>

#include <capnp/message.h>

#include "services/cli/json.h"
#include "services/cli/process-session.h"
#include "services/cli/progress-display.h"
#include "services/cli/run-command.h"
#include "services/cli/table.h"

namespace bulkhead {
namespace {

TEST(Memory, SizesAndUnits) {
  EXPECT_EQ(memoryMiBOf("256"), 256u);
  EXPECT_EQ(memoryMiBOf("256M"), 256u);
  EXPECT_EQ(memoryMiBOf("1G"), 1024u);
  EXPECT_EQ(memoryMiBOf("2GiB"), 2048u);
  for (kj::StringPtr bad : {"", "M", "0", "-1", "1T", "1.5G", "99999999999999999999", "4194304G"}) {
    EXPECT_THROW(memoryMiBOf(bad), kj::Exception) << bad.cStr();
  }
}

TEST(ExitCodes, AsShellsHaveThem) {
  EXPECT_EQ(exitCodeOf(FailureCode::COMMAND_NOT_FOUND), 127);
  EXPECT_EQ(exitCodeOf(FailureCode::COMMAND_NOT_EXECUTABLE), 126);
  EXPECT_EQ(exitCodeOf(FailureCode::NOT_FOUND), 125);
  capnp::MallocMessageBuilder message;
  auto status = message.initRoot<schema::ExitStatus>();
  status.setCode(3);
  EXPECT_EQ(exitCodeOf(status.asReader()), 3);
  status.setSignal(9);
  EXPECT_EQ(exitCodeOf(status.asReader()), 137);
}

TEST(Environment, ValuesAndOnesOwn) {
  EXPECT_STREQ(KJ_ASSERT_NONNULL(environmentEntry("A=b=c")).cStr(), "A=b=c");
  setenv("CLI_TEST_VALUE", "here", 1);
  EXPECT_STREQ(KJ_ASSERT_NONNULL(environmentEntry("CLI_TEST_VALUE")).cStr(), "CLI_TEST_VALUE=here");
  EXPECT_TRUE(environmentEntry("CLI_TEST_NO_SUCH_VALUE") == nullptr);
}

TEST(Tables, ColumnsLineUpAndControlCharactersShow) {
  Table table({"NAME", "STATE"});
  table.add({"quiet-otter", "running"});
  table.add({"a", "\x1b[2J"});
  EXPECT_STREQ(table.text().cStr(),
               "NAME         STATE\n"
               "quiet-otter  running\n"
               "a            \\x1b[2J\n");
}

TEST(Texts, SizesDurationsAges) {
  EXPECT_STREQ(sizeText(512).cStr(), "512 B");
  EXPECT_STREQ(sizeText(3u << 20).cStr(), "3.0 MiB");
  EXPECT_STREQ(durationText(1500000000).cStr(), "1.500 s");
  EXPECT_STREQ(durationText(2500000).cStr(), "2.5 ms");
  EXPECT_STREQ(ageText(1000000000, 121000000000).cStr(), "2 minutes ago");
  EXPECT_STREQ(ageText(0, 5).cStr(), "-");
}

TEST(JsonText, KeepsTextSafeAndTimesReadable) {
  auto json = Json::object();
  json.set("text", kj::StringPtr("a\"b\n"));
  json.set("number", uint64_t{42});
  json.set("none", Json::null());
  json.set("time", timeOf(1000000000123456789));
  auto text = json.encode();
  EXPECT_NE(std::string(text.cStr()).find("\"a\\\"b\\n\""), std::string::npos) << text.cStr();
  EXPECT_NE(std::string(text.cStr()).find("42"), std::string::npos);
  EXPECT_NE(std::string(text.cStr()).find("2001-09-09T01:46:40.123456789Z"), std::string::npos);
}

TEST(Progress, ABarForKnownTotals) {
  capnp::MallocMessageBuilder message;
  auto progress = message.initRoot<schema::Progress>();
  progress.setPhase("layer");
  progress.setSubject("debian:13");
  progress.setDone(1u << 20);
  progress.setTotal(2u << 20);
  EXPECT_STREQ(progressLine(progress.asReader()).cStr(),
               "layer debian:13 [============            ] 1.0 MiB / 2.0 MiB");
}

}  // namespace
}  // namespace bulkhead
