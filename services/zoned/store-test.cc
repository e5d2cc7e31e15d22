// SPDX-License-Identifier: Apache-2.0
#include "services/zoned/store.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

namespace bulkhead {
namespace {

class StoreTest : public ::testing::Test {
 protected:
  StoreTest() {
    char path[] = "/tmp/store-test-XXXXXX";
    KJ_REQUIRE(mkdtemp(path) != nullptr);
    directory = kj::str(kj::StringPtr(path));
  }
  ~StoreTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(directory.cStr(), ignored);
  }

  static ZoneRecord someRecord(kj::StringPtr name) {
    ZoneRecord record;
    record.id = Uuid::random();
    record.name = kj::str(name);
    record.owner = 1000;
    record.createdNanoseconds = unixNanoseconds();
    auto spec = record.specMessage->initRoot<schema::ZoneSpec>();
    spec.setImage("debian:13");
    spec.setMemoryMiB(256);
    return record;
  }

  kj::String directory;
};

TEST_F(StoreTest, RecordsComeBackWhole) {
  auto record = someRecord("web");
  {
    Store store(directory);
    record.state = ZoneState::EXITED;
    record.exit = ZoneExit{ZoneExit::Kind::signal, 9, true, kj::str("reason")};
    record.failure = failure(FailureCode::GUEST_CRASHED, "web", "crashed", "try again");
    record.addresses.add(kj::str("10.75.0.2"));
    record.phases.add(Phase{kj::str("boot"), 12345});
    store.put(record);
  }
  Store store(directory);
  auto records = store.load();
  ASSERT_EQ(records.size(), 1u);
  auto& loaded = records[0];
  EXPECT_EQ(loaded.id, record.id);
  EXPECT_EQ(loaded.name, "web");
  EXPECT_EQ(loaded.owner, 1000u);
  EXPECT_EQ(loaded.state, ZoneState::EXITED);
  auto& exit = KJ_ASSERT_NONNULL(loaded.exit);
  EXPECT_EQ(exit.kind, ZoneExit::Kind::signal);
  EXPECT_EQ(exit.value, 9);
  EXPECT_TRUE(exit.outOfMemory);
  auto& problem = KJ_ASSERT_NONNULL(loaded.failure);
  EXPECT_EQ(problem.code, FailureCode::GUEST_CRASHED);
  EXPECT_EQ(problem.hint, "try again");
  EXPECT_EQ(loaded.addresses[0], "10.75.0.2");
  EXPECT_EQ(loaded.phases[0].nanoseconds, 12345u);
  EXPECT_TRUE(loaded.spec().getImage().asReader() == "debian:13");
}

TEST_F(StoreTest, StepsAreRemembered) {
  auto record = someRecord("web");
  {
    Store store(directory);
    store.put(record);
    store.begin(record.id, Step::domain);
    store.begin(record.id, Step::domain);
  }
  Store store(directory);
  EXPECT_TRUE(store.begun(record.id, Step::domain));
  EXPECT_FALSE(store.begun(record.id, Step::network));
  store.undone(record.id, Step::domain);
  EXPECT_FALSE(store.begun(record.id, Step::domain));
}

TEST_F(StoreTest, ForgettingTakesTheStepsAlong) {
  Store store(directory);
  auto record = someRecord("web");
  store.put(record);
  store.begin(record.id, Step::network);
  store.forget(record.id);
  EXPECT_EQ(store.load().size(), 0u);
  EXPECT_FALSE(store.begun(record.id, Step::network));
}

TEST_F(StoreTest, ANameIsUniqueForItsOwner) {
  Store store(directory);
  auto first = someRecord("web");
  auto second = someRecord("web");
  store.put(first);
  EXPECT_THROW(store.put(second), kj::Exception);
  second.owner = 1001;
  store.put(second);
  EXPECT_EQ(store.load().size(), 2u);
}

TEST_F(StoreTest, MigratesANewFileToThePresentLayout) {
  {
    Store store(directory);
  }
  Database database(kj::str(directory, "/zones.db"));
  Statement query(database, "PRAGMA user_version");
  ASSERT_TRUE(query.step());
  EXPECT_EQ(query.number(0), Store::currentVersion());
}

TEST_F(StoreTest, ALaterLayoutIsRefused) {
  {
    Database database(kj::str(directory, "/zones.db"));
    database.execute(kj::str("PRAGMA user_version = ", Store::currentVersion() + 1));
  }
  try {
    Store store(directory);
    FAIL();
  } catch (const kj::Exception& exception) {
    EXPECT_TRUE(isFailure(exception, FailureCode::CORRUPT));
  }
}

TEST_F(StoreTest, GarbageIsRefused) {
  auto path = kj::str(directory, "/zones.db");
  FILE* file = fopen(path.cStr(), "w");
  ASSERT_NE(file, nullptr);
  for (int i = 0; i < 1000; ++i) fputs("this is not a database ", file);
  fclose(file);
  EXPECT_THROW(Store store(directory), kj::Exception);
}

}  // namespace
}  // namespace bulkhead
