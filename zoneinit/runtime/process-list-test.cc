// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/process-list.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <kj/debug.h>

namespace bulkhead::zone {
namespace {

constexpr kj::StringPtr kRest =
    " S 7 1 1 0 -1 4194560 10 0 0 0 150 50 0 0 20 0 1 0 5 1000 25 18446744073709551615\n"_kj;

TEST(ProcessList, TheFieldsAreThoseOfTheManual) {
  auto info = KJ_ASSERT_NONNULL(parseProcessStat(kj::str("42 (sleep)", kRest)));
  EXPECT_EQ(info.pid, 42u);
  EXPECT_EQ(info.parent, 7u);
  EXPECT_TRUE(info.name == "sleep");
  EXPECT_EQ(info.cpuNanoseconds, 200u * (1'000'000'000u / static_cast<uint>(sysconf(_SC_CLK_TCK))));
  EXPECT_EQ(info.memoryBytes, 25u * static_cast<uint>(sysconf(_SC_PAGESIZE)));
}

TEST(ProcessList, ANameCannotPassForOtherFields) {
  for (kj::StringPtr name : {") R 1 1"_kj, "((("_kj, ""_kj, "a b) S 99 ("_kj, "\x1b[2J"_kj}) {
    auto info = KJ_ASSERT_NONNULL(parseProcessStat(kj::str("42 (", name, ")", kRest)));
    EXPECT_TRUE(info.name == name);
    EXPECT_EQ(info.parent, 7u) << name.cStr();
  }
}

TEST(ProcessList, KernelThreadsAndOtherTextAreLeftOut) {
  EXPECT_TRUE(parseProcessStat("2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 0 0 0 "
                               "18446744073709551615\n") == nullptr);
  for (kj::StringPtr text : {""_kj, "1"_kj, "1 (x"_kj, "1 x)"_kj, ")("_kj, "1 (x) S 1"_kj}) {
    EXPECT_TRUE(parseProcessStat(text) == nullptr) << text.cStr();
  }
}

TEST(ProcessList, TheWorkloadIsThePartBelowAllWorkloads) {
  EXPECT_TRUE(workloadOfCgroup("0::/workloads/main\n") == "main");
  EXPECT_TRUE(workloadOfCgroup("0::/base/workloads/main/own/workloads/x\n") == "main");
  EXPECT_TRUE(workloadOfCgroup("0::/\n") == "");
  EXPECT_TRUE(workloadOfCgroup("") == "");
}

TEST(ProcessList, ThisProcessIsListedAndTheBoundHolds) {
  auto all = listProcesses(100'000);
  bool found = false;
  for (const auto& each : all.processes) {
    if (each.pid != static_cast<uint32_t>(getpid())) continue;
    found = true;
    EXPECT_EQ(each.parent, static_cast<uint32_t>(getppid()));
    EXPECT_EQ(each.user, getuid());
    EXPECT_GT(each.memoryBytes, 0u);
  }
  EXPECT_TRUE(found);
  EXPECT_EQ(all.omitted, 0u);
  auto few = listProcesses(1);
  EXPECT_EQ(few.processes.size(), 1u);
  EXPECT_GT(few.omitted, 0u);
}

}  // namespace
}  // namespace bulkhead::zone
