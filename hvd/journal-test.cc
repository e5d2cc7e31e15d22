// SPDX-License-Identifier: Apache-2.0
#include "hvd/journal.h"

#include <gtest/gtest.h>
#include <kj/async-io.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace bulkhead::hvd {
namespace {

struct JournalTest : testing::Test {
  kj::AsyncIoContext io = kj::setupAsyncIo();
  Log log{"test"};
  std::string directory;

  ~JournalTest() noexcept override {}

  void SetUp() override {
    char name[] = "/tmp/journal-XXXXXX";
    directory = mkdtemp(name);
  }
  void TearDown() override { std::filesystem::remove_all(directory); }

  static JournalRecord sample() {
    JournalRecord record;
    record.uuid = Uuid::random();
    record.name = kj::str("web");
    record.state = JournalRecord::State::ALIVE;
    record.domid = 7;
    record.pvh = true;
    record.memoryMiB = record.maxMemoryMiB = 256;
    record.vcpus = record.maxVcpus = 2;
    record.consoleFrame = UINT64_MAX - 1;
    record.consolePort = 2;
    record.vifs.add(VifConfig{3, kj::str("02:00:00:00:00:0a"), 5, 0});
    record.disks.add(JournalDisk{kj::str("xvda"), 51712, 4u});
    record.disks.add(JournalDisk{kj::str("xvdb"), 51728, nullptr});
    return record;
  }
};

TEST_F(JournalTest, FindsItsRecordsAgain) {
  auto record = sample();
  kj::String host;
  {
    Journal journal(directory.c_str(), log);
    host = journal.hostId().text();
    journal.write(record).wait(io.waitScope);
    record.state = JournalRecord::State::ENDING;
    journal.write(record).wait(io.waitScope);
    auto gone = sample();
    journal.write(gone).wait(io.waitScope);
    journal.remove(gone.uuid).wait(io.waitScope);
    journal.remove(gone.uuid).wait(io.waitScope);
  }
  Journal journal(directory.c_str(), log);
  EXPECT_EQ(journal.hostId().text(), host);
  auto records = journal.takeRecords();
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].encode(), record.encode());
  EXPECT_EQ(records[0].consoleFrame, UINT64_MAX - 1);
  EXPECT_TRUE(records[0].disks[1].loop == nullptr);
}

TEST_F(JournalTest, SetsDamagedRecordsAside) {
  auto record = sample();
  {
    Journal journal(directory.c_str(), log);
    journal.write(record).wait(io.waitScope);
  }
  auto name = Uuid::random().text();
  std::ofstream(directory + "/" + name.cStr() + ".json") << "{\"uuid\": ";
  std::ofstream(directory + "/half.json.new") << "not yet";
  Journal journal(directory.c_str(), log);
  EXPECT_EQ(journal.takeRecords().size(), 1u);
  EXPECT_TRUE(std::filesystem::exists(directory + "/" + name.cStr() + ".json.bad"));
}

}  // namespace
}  // namespace bulkhead::hvd
