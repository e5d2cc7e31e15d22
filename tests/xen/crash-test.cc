// SPDX-License-Identifier: Apache-2.0
// Any daemon may be killed at any moment: zones do not notice, and the daemon finds the truth.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "tests/xen/host.h"

namespace bulkhead::xentest {
namespace {

std::string mainPid(const std::string& unit) {
  auto shown = run({"systemctl", "show", "-P", "MainPID", unit}).out;
  return shown.substr(0, shown.find('\n'));
}

class Killed : public testing::TestWithParam<const char*> {};

TEST_P(Killed, TheZoneLivesOnAndCanBeManaged) {
  NothingLeft nothing;
  std::string unit = std::string("bulkhead-") + GetParam();
  Zone zone(std::string("survivor-") + GetParam(), {"--pv"},
            {"localhost:5000/busybox", "sh", "-c", "echo started; sleep 100000"});
  auto before = zone.exec({"sh", "-c", "cat /proc/sys/kernel/random/boot_id; cat /proc/1/stat"});
  ASSERT_EQ(before.code, 0) << before;

  auto pid = mainPid(unit);
  ASSERT_EQ(run({"kill", "-9", pid}).code, 0);
  EXPECT_TRUE(eventually([&]() {
    auto now = mainPid(unit);
    return now != pid && now != "0";
  })) << "systemd did not start "
      << unit << " again";

  Outcome after;
  EXPECT_TRUE(eventually([&]() {
    after = zone.exec({"sh", "-c", "cat /proc/sys/kernel/random/boot_id; cat /proc/1/stat"});
    return after.code == 0;
  })) << after;
  auto bootId = [](const Outcome& outcome) { return outcome.out.substr(0, 36); };
  EXPECT_EQ(bootId(after), bootId(before)) << "the zone was booted again";
  EXPECT_EQ(zone.exec({"ping", "-c", "1", "-W", "10", "169.254.1.1"}).code, 0);
  EXPECT_THAT(run({"bulkhead", "zone", "logs", zone.name}).out, testing::HasSubstr("started"));

  // A new zone can be made as well.
  auto ran = run({"bulkhead", "run", "--pv", "localhost:5000/busybox", "echo", "again"});
  EXPECT_EQ(ran.out, "again\n") << ran;
}

INSTANTIATE_TEST_SUITE_P(Crash, Killed,
                         testing::Values("hvd", "imaged", "netd", "netagent", "idmd", "zoned"));

TEST(Crash, AKilledLinkIsReplaced) {
  NothingLeft nothing;
  Zone zone("linkless", {"--pv"}, {"localhost:5000/busybox", "sleep", "100000"});
  ASSERT_EQ(run({"pkill", "-9", "-u", "bulkhead-link"}).code, 0);
  Outcome after;
  EXPECT_TRUE(eventually([&]() {
    after = zone.exec({"echo", "here"});
    return after.code == 0 && after.out == "here\n";
  })) << after;
}

TEST(Crash, AClientThatDisappearsLeavesNothing) {
  NothingLeft nothing;
  {
    Running client({"bulkhead", "run", "--pv", "--name", "orphan", "localhost:5000/busybox", "sh",
                    "-c", "echo up; sleep 100000"});
    ASSERT_TRUE(client.outputHas("up"));
    client.kill(SIGKILL);
    client.wait();
  }
  EXPECT_TRUE(eventually(
      []() { return run({"bulkhead", "zone", "list"}).out.find("orphan") == std::string::npos; }));
}

TEST(Crash, AClientThatDisappearsDuringTheLaunchLeavesNothing) {
  NothingLeft nothing;
  {
    Running client(
        {"bulkhead", "run", "--pv", "--name", "early", "localhost:5000/busybox", "true"});
    EXPECT_TRUE(eventually(
        []() { return run({"bulkhead", "zone", "list"}).out.find("early") != std::string::npos; }));
    client.kill(SIGKILL);
    client.wait();
  }
  EXPECT_TRUE(eventually(
      []() { return run({"bulkhead", "zone", "list"}).out.find("early") == std::string::npos; }));
}

}  // namespace
}  // namespace bulkhead::xentest
