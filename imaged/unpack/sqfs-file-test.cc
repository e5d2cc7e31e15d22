// SPDX-License-Identifier: Apache-2.0
#include "imaged/unpack/sqfs-file.h"

#include "imaged/testing/pack-fixture.h"

namespace bulkhead {
namespace {

using testing::contentOf;
using testing::memoryFile;

// A file of ours, and beside it what it should hold.
class SqfsFileTest : public ::testing::Test {
 public:
  SqfsFileTest() = default;
  ~SqfsFileTest() noexcept override {}

 protected:
  kj::AutoCloseFd fd = memoryFile();
  SqfsFile file{fd, 0};
  std::string expected;

  void write(size_t offset, size_t count) {
    std::string bytes(count, static_cast<char>('a' + ++writes));
    ASSERT_EQ(file.write_at(&file, offset, bytes.data(), count), 0);
    expected.resize(std::max(expected.size(), offset + count));
    expected.replace(offset, count, bytes);
    EXPECT_EQ(file.get_size(&file), expected.size());
  }

  void expectRead(size_t offset, size_t count) {
    std::string bytes(count, 0);
    ASSERT_EQ(file.read_at(&file, offset, bytes.data(), count), 0);
    EXPECT_EQ(bytes, expected.substr(offset, count)) << offset;
  }

 private:
  int writes = 0;
};

TEST_F(SqfsFileTest, WhatIsPendingIsRead) {
  write(0, 1000);
  write(1000, 1000);
  expectRead(500, 1000);
  write(2000, 10);
  expectRead(0, 100);
  expectRead(1999, 11);
}

TEST_F(SqfsFileTest, WritesMayGoAnywhere) {
  write(0, 5000);
  write(100, 10);
  write(110, 10);
  write(8000, 1);
  write(5u << 20, 7u << 20);
  write(12u << 20, 3);
  for (int i = 0; i < 40; ++i) write(expected.size(), 100'001);
  expectRead(0, expected.size());
  ASSERT_EQ(file.truncate(&file, expected.size()), 0);
  EXPECT_EQ(contentOf(fd), expected);
}

TEST_F(SqfsFileTest, TruncatingWritesWhatIsPending) {
  write(0, 3000);
  ASSERT_EQ(file.truncate(&file, 4096), 0);
  expected.resize(4096);
  EXPECT_EQ(contentOf(fd), expected);
  EXPECT_EQ(file.size(), 4096u);
}

TEST_F(SqfsFileTest, BeyondTheEndThereIsNothing) {
  write(0, 10);
  char byte;
  EXPECT_LT(file.read_at(&file, 10, &byte, 1), 0);
}

}  // namespace
}  // namespace bulkhead
