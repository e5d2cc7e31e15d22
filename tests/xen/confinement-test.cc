// SPDX-License-Identifier: Apache-2.0
// What a container may be told, in zones of both kinds on the real hypervisor: here the zone's own
// kernel has the controllers, namespaces and filters that the machine of the other tests may lack.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>

#include "tests/xen/host.h"

namespace bulkhead::xentest {
namespace {

using testing::HasSubstr;

Outcome runWith(std::vector<std::string> options, const std::string& line,
                const std::string& kind = "pv") {
  std::vector<std::string> command = {"bulkhead", "run", "--" + kind};
  command.insert(command.end(), options.begin(), options.end());
  command.insert(command.end(), {"localhost:5000/busybox", "sh", "-c", line});
  return run(command);
}

// The kernel's part in it is the same code in both kinds of guests; these two show that it is
// there.
class Confinement : public testing::TestWithParam<const char*> {};

// OCI: linux.resources, linux.resources.unified
TEST_P(Confinement, LimitsAreTheKernels) {
  NothingLeft nothing;
  auto ran = runWith(
      {"--pids-limit", "77", "--cgroup", "cpu.max=50000 100000", "--cgroup", "memory.high=64M",
       "--ulimit", "nofile=2000:3000", "--oom-score-adj", "100", "--shm-size", "1M"},
      "cd /sys/fs/cgroup; cat pids.max cpu.max memory.high; ulimit -n; ulimit -Hn; "
      "cat /proc/self/oom_score_adj; df -k /dev/shm | tail -1 | awk '{print $2}'",
      GetParam());
  EXPECT_EQ(ran.code, 0) << ran;
  EXPECT_EQ(ran.out, "77\n50000 100000\n67108864\n2000\n3000\n100\n1024\n");
}

TEST_P(Confinement, UsersOfItsOwnAndAReadOnlyRoot) {
  NothingLeft nothing;
  auto ran = runWith(
      {"--namespace", "user=own", "--read-only", "--tmpfs", "/scratch:size=1M,mode=0700",
       "--cap-drop", "ALL", "--security-opt", "mask=/etc/passwd"},
      "cat /proc/self/uid_map | tr -s ' '; id -u; stat -c %u /bin/busybox; touch /x || echo ro; "
      "touch /scratch/x && echo rw; wc -c < /etc/passwd; grep CapBnd /proc/self/status",
      GetParam());
  EXPECT_EQ(ran.code, 0) << ran;
  EXPECT_EQ(ran.out, " 0 100000 65536\n0\n0\nro\nrw\n0\nCapBnd:\t0000000000000000\n");
}

TEST(Confined, TheDefaultFilterAndACustomOne) {
  NothingLeft nothing;
  auto usual = runWith({}, "grep -E '^(Seccomp|NoNewPrivs):' /proc/self/status; unshare -m true");
  EXPECT_THAT(usual.out, HasSubstr("Seccomp:\t2"));
  EXPECT_THAT(usual.err, HasSubstr("unshare"));
  std::ofstream("/tmp/profile.json") << R"({"defaultAction": "SCMP_ACT_ALLOW",
             "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]})";
  auto custom = runWith({"--security-opt", "seccomp=/tmp/profile.json"}, "mkdir /made");
  EXPECT_THAT(custom.err, HasSubstr("No space left"));
  run({"rm", "/tmp/profile.json"});
}

TEST(Confined, APrivilegedContainerHasItsZoneAndNothingElse) {
  NothingLeft nothing;
  auto ran = runWith({"--privileged"},
                     "grep -E '^(CapEff|Seccomp):' /proc/self/status; mkdir /m && mount -t tmpfs "
                     "none /m && echo mounted; mkdir /sys/fs/cgroup/part && echo parts; "
                     "test -c /dev/kmsg && echo devices");
  EXPECT_EQ(ran.code, 0) << ran;
  EXPECT_EQ(ran.out, "CapEff:\t000001ffffffffff\nSeccomp:\t0\nmounted\nparts\ndevices\n");
}

// As systemd and container engines do inside of one.
TEST(Confined, ExecsGoOnWhereAContainerHandsOutItsControllers) {
  NothingLeft nothing;
  Zone zone("nested", {"--pv", "--privileged"},
            {"localhost:5000/busybox", "sh", "-c",
             "cd /sys/fs/cgroup && mkdir leaf && echo 1 > leaf/cgroup.procs && echo +pids > "
             "cgroup.subtree_control && touch /ready; sleep 100000"});
  EXPECT_TRUE(eventually([&] { return zone.exec({"test", "-e", "/ready"}).code == 0; }));
  EXPECT_EQ(zone.exec({"cat", "/sys/fs/cgroup/cgroup.subtree_control"}).out, "pids\n");
  EXPECT_EQ(zone.exec({"cat", "/proc/self/cgroup"}).out, "0::/leaf\n");
}

TEST(Confined, KilledForWantOfMemoryIs137WithTheReason) {
  NothingLeft nothing;
  Zone zone("greedy", {"--pv", "--cgroup", "memory.max=16M"},
            {"localhost:5000/busybox", "sh", "-c", "tail -c 200m /dev/zero; echo survived"});
  EXPECT_EQ(run({"bulkhead", "zone", "wait", "greedy"}).code, 128 + SIGKILL);
  auto info = run({"bulkhead", "zone", "info", "greedy"});
  EXPECT_THAT(info.out, HasSubstr("want of memory")) << info;
}

TEST(Confined, WhatRunsForTooLongIsKilled) {
  NothingLeft nothing;
  Zone zone("late", {"--pv"}, {"localhost:5000/busybox", "sleep", "100000"});
  auto late = run({"bulkhead", "zone", "exec", "--timeout", "1s", "late", "--", "sh", "-c",
                   "setsid sleep 5000 & sleep 6000"});
  EXPECT_EQ(late.code, 128 + SIGKILL) << late;
  EXPECT_THAT(late.err, HasSubstr("longer than 1s"));
  auto left = zone.exec({"sh", "-c", "ps | grep -o '[s]leep .*'"});
  EXPECT_EQ(left.out, "sleep 100000\n");
}

TEST(Confined, SettingsThatCannotBeAreRefused) {
  NothingLeft nothing;
  struct Case {
    std::vector<std::string> options;
    const char* named;
  };
  for (const auto& [options, named] :
       {Case{{"--sysctl", "kernel.core_pattern=x"}, "kernel.core_pattern"},
        Case{{"--cgroup", "cpu.max=nonsense"}, "cpu.max"},
        Case{{"--security-opt", "apparmor=x"}, "AppArmor"}, Case{{"--cap-add", "FLY"}, "FLY"},
        Case{{"--user", "nobody-here"}, "nobody-here"}}) {
    auto refused = runWith(options, "true");
    EXPECT_EQ(refused.code, 125) << refused;
    EXPECT_THAT(refused.err, HasSubstr(named));
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, Confinement, testing::Values("pv", "pvh"));

}  // namespace
}  // namespace bulkhead::xentest
