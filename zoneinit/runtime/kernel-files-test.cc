// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/kernel-files.h"

#include <fcntl.h>
#include <gtest/gtest.h>

namespace bulkhead::zone {
namespace {

TEST(KernelFiles, ALineIsFoundByItsWholeKey) {
  auto events = "low 0\noom_kill_all 7\noom_kill 3\nlast\n"_kj;
  EXPECT_EQ(numberOfLine(events, "oom_kill"), 3u);
  EXPECT_EQ(numberOfLine(events, "oom"), 0u);
  EXPECT_EQ(numberOfLine(events, "last"), 0u);
  EXPECT_EQ(numberOfLine(events, "none"), 0u);
  auto memory = "MemTotal:         120 kB\nMemAvailable:\t  99 kB"_kj;
  EXPECT_EQ(numberOfLine(memory, "MemTotal:"), 120u);
  EXPECT_EQ(numberOfLine(memory, "MemAvailable:"), 99u);
}

TEST(KernelFiles, AFieldIsFoundByItsWholeName) {
  auto line = "some avg10=1.25 avg60=0.00 total=18446744";
  EXPECT_EQ(numberOfField(line, "avg10"), 1.25);
  EXPECT_EQ(numberOfField(line, "total"), 18446744);
  EXPECT_EQ(numberOfField(line, "avg1"), 0);
  EXPECT_EQ(numberOfField("8:0 rbytes=5 dbytes=9", "bytes"), 0);
  EXPECT_EQ(numberOfField("8:0 xrbytes=5 rbytes=9", "rbytes"), 9);
  EXPECT_EQ(numberOfField("", "x"), 0);
}

TEST(KernelFiles, WhatCannotBeReadIsNothing) {
  EXPECT_EQ(readKernelFile(AT_FDCWD, "/no-such-file").size(), 0u);
  EXPECT_GT(readKernelFile(AT_FDCWD, "/proc/self/stat").size(), 0u);
  EXPECT_FALSE(writeKernelFile(AT_FDCWD, "/no-such-directory/file", "1"));
}

}  // namespace
}  // namespace bulkhead::zone
