// SPDX-License-Identifier: Apache-2.0
#include "imaged/store/sealed-files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include <gtest/gtest.h>
#include <kj/async.h>
#include <kj/debug.h>

namespace bulkhead {
namespace {

kj::AutoCloseFd fileOf(const std::string& bytes) {
  int raw;
  KJ_SYSCALL(raw = memfd_create("part", MFD_CLOEXEC));
  kj::AutoCloseFd fd(raw);
  KJ_SYSCALL(pwrite(fd, bytes.data(), bytes.size(), 0));
  return fd;
}

std::string bytesOf(int fd) {
  struct stat status;
  KJ_SYSCALL(fstat(fd, &status));
  std::string bytes(static_cast<size_t>(status.st_size), 0);
  KJ_SYSCALL(pread(fd, bytes.data(), bytes.size(), 0));
  return bytes;
}

ino_t inodeOf(int fd) {
  struct stat status;
  KJ_SYSCALL(fstat(fd, &status));
  return status.st_ino;
}

struct SealedFilesTest : public testing::Test {
  ~SealedFilesTest() noexcept override {}

  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  kj::TimerImpl timer{kj::origin<kj::TimePoint>()};
  SealedFiles files{timer};

  void later(kj::Duration by) {
    timer.advanceTo(timer.now() + by);
    waitScope.poll();
  }
};

TEST_F(SealedFilesTest, PartsFollowEachOtherAtMultiplesOfFour) {
  auto first = fileOf("12345");
  auto second = fileOf("abc");
  int parts[] = {first, second};
  auto file = files.get("both", parts);
  EXPECT_EQ(bytesOf(file), std::string("12345\0\0\0abc", 11));
}

TEST_F(SealedFilesTest, NobodyCanWriteCutOrUnseal) {
  auto part = fileOf("kernel");
  int parts[] = {part};
  auto file = files.get("kernel", parts);
  EXPECT_LT(pwrite(file, "x", 1, 0), 0);
  EXPECT_LT(ftruncate(file, 1), 0);
  EXPECT_LT(fcntl(file, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), 0);
  EXPECT_EQ(mmap(nullptr, 6, PROT_WRITE, MAP_SHARED, file, 0), MAP_FAILED);
}

TEST_F(SealedFilesTest, TheSameNameIsCopiedOnceWhileItIsInUse) {
  auto part = fileOf("kernel");
  int parts[] = {part};
  auto inode = inodeOf(files.get("kernel", parts));
  later(90 * kj::SECONDS);
  EXPECT_EQ(inodeOf(files.get("kernel", parts)), inode);
  later(90 * kj::SECONDS);
  EXPECT_EQ(inodeOf(files.get("kernel", parts)), inode);
}

TEST_F(SealedFilesTest, WhatNobodyAskedForIsLetGo) {
  auto part = fileOf("old");
  int parts[] = {part};
  auto held = files.get("kernel", parts);
  later(3 * kj::MINUTES);
  auto newer = fileOf("new");
  int newParts[] = {newer};
  EXPECT_EQ(bytesOf(files.get("kernel", newParts)), "new");
  EXPECT_EQ(bytesOf(held), "old");
}

TEST_F(SealedFilesTest, NoMoreThanSomeBytesAreKept) {
  std::string big(size_t{50} << 20, 'x');
  auto part = fileOf(big);
  int parts[] = {part};
  auto first = files.get("1", parts);
  files.get("2", parts);
  files.get("3", parts);  // 150 MiB by now: the first is let go
  EXPECT_NE(inodeOf(files.get("1", parts)), inodeOf(first));
}

}  // namespace
}  // namespace bulkhead
