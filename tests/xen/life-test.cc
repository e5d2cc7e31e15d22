// SPDX-License-Identifier: Apache-2.0
// The life of a zone on the real hypervisor: pull, run, exec, logs, exit codes, end.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "tests/xen/host.h"

namespace bulkhead::xentest {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Life, PullsFromTheRealRegistry) {
  NothingLeft nothing;
  auto pulled = run({"bulkhead", "image", "pull", "localhost:5000/busybox"});
  EXPECT_EQ(pulled.code, 0) << pulled;
  auto list = run({"bulkhead", "image", "list"});
  EXPECT_THAT(list.out, HasSubstr("localhost:5000/busybox"));
  EXPECT_THAT(list.out, HasSubstr("amd64"));
}

TEST(Life, PullsEveryKindOfLayer) {
  for (auto* image : {"layers", "zstd", "docker"}) {
    auto pulled = run({"bulkhead", "image", "pull", std::string("localhost:5000/") + image});
    EXPECT_EQ(pulled.code, 0) << image << "\n" << pulled;
  }
}

// Each kind of guest: its own kernel says so, the container's output is all that comes out.
class Kind : public testing::TestWithParam<const char*> {};

TEST_P(Kind, RunsAContainerInItsOwnKernel) {
  NothingLeft nothing;
  auto ran = run({"bulkhead", "run", std::string("--") + GetParam(), "localhost:5000/busybox", "sh",
                  "-c", "echo out; echo err >&2; uname -r; cat /proc/1/comm; exit 42"});
  EXPECT_EQ(ran.code, 42) << ran;
  EXPECT_THAT(ran.out, HasSubstr("out\n"));
  EXPECT_THAT(ran.out, Not(HasSubstr("err\n")));
  EXPECT_THAT(ran.err, HasSubstr("err\n"));
  auto host = run({"uname", "-r"}).out;
  EXPECT_THAT(ran.out, Not(HasSubstr(host))) << "the zone's kernel is not its own";
}

TEST_P(Kind, TheLeastMemoryThatMayBeAskedForIsEnough) {
  NothingLeft nothing;
  auto ran = run({"bulkhead", "run", std::string("--") + GetParam(), "--memory", "48",
                  "localhost:5000/busybox", "sh", "-c", "echo small; grep MemTotal /proc/meminfo"});
  EXPECT_EQ(ran.code, 0) << ran;
  EXPECT_THAT(ran.out, HasSubstr("small\n"));
}

// The program that the kernel starts is in the extension, and leads on to the system image's.
TEST_P(Kind, AnExtensionIsPartOfTheInitialFileSystem) {
  NothingLeft nothing;
  std::vector<std::string> command = {"bulkhead", "run", std::string("--") + GetParam(),
                                      "--kernel-options", "rdinit=/extension/init panic=1"};
  auto without = command;
  without.insert(without.end(), {"localhost:5000/busybox", "echo", "extended"});
  EXPECT_THAT(run(without).err, HasSubstr("Kernel panic"));
  command.insert(command.end(), {"--extension", "localhost:5000/extension",
                                 "localhost:5000/busybox", "echo", "extended"});
  auto ran = run(command);
  EXPECT_EQ(ran.code, 0) << ran;
  EXPECT_EQ(ran.out, "extended\n");
}

INSTANTIATE_TEST_SUITE_P(Life, Kind, testing::Values("pv", "pvh"));

TEST(Life, PassesExitCodesAndSignals) {
  NothingLeft nothing;
  Zone zone("codes", {"--pv"}, {"localhost:5000/busybox", "sleep", "100000"});
  EXPECT_EQ(zone.exec({"true"}).code, 0);
  EXPECT_EQ(zone.exec({"false"}).code, 1);
  EXPECT_EQ(zone.exec({"sh", "-c", "exit 200"}).code, 200);
  EXPECT_EQ(zone.exec({"sh", "-c", "kill -9 $$"}).code, 128 + SIGKILL);
  EXPECT_EQ(zone.exec({"no-such-command"}).code, 127);
  EXPECT_EQ(zone.exec({"/etc/passwd"}).code, 126);
}

TEST(Life, TellsWhatAZoneUsesAndWhatRunsInIt) {
  NothingLeft nothing;
  Zone zone("usage", {"--pv"},
            {"localhost:5000/busybox", "sh", "-c",
             "head -c 8000000 /dev/zero > /tmp/f; md5sum /tmp/f; sleep 100000"});
  auto top = [] { return run({"bulkhead", "zone", "top", "usage"}); };
  EXPECT_TRUE(eventually([&] { return top().out.find("sleep") != std::string::npos; })) << top();
  auto stats = run({"bulkhead", "zone", "stats"});
  EXPECT_EQ(stats.code, 0) << stats;
  EXPECT_THAT(stats.out, HasSubstr("usage "));
  auto json = run({"bulkhead", "zone", "stats", "--output", "json", "usage"}).out;
  for (auto* field : {"cpuNanoseconds", "memoryLimitBytes", "ioPressure"}) {
    EXPECT_THAT(json, HasSubstr(field));
  }
  // The container was read from its disk, and it runs: none of these is nothing.
  for (auto* nothingOf : {"\"cpuNanoseconds\": 0,", "\"memoryBytes\": 0,", "\"readBytes\": 0,",
                          "\"processes\": 0,"}) {
    EXPECT_THAT(json, Not(HasSubstr(nothingOf)));
  }
}

TEST(Life, PausesAndStops) {
  NothingLeft nothing;
  Zone zone(
      "still", {"--pv"},
      {"localhost:5000/busybox", "sh", "-c", "trap 'exit 7' TERM; while :; do sleep 0.1; done"});
  EXPECT_EQ(run({"bulkhead", "zone", "pause", "still"}).code, 0);
  auto asked = run({"bulkhead", "zone", "stats", "still"});
  EXPECT_EQ(asked.code, 125) << asked;
  EXPECT_THAT(asked.err, HasSubstr("unpause"));
  EXPECT_EQ(run({"bulkhead", "zone", "unpause", "still"}).code, 0);
  EXPECT_EQ(run({"bulkhead", "zone", "stats", "still"}).code, 0);
  auto stopped = run({"bulkhead", "zone", "stop", "--time", "100", "still", "no-such-zone"});
  EXPECT_EQ(stopped.code, 125) << stopped;
  EXPECT_THAT(stopped.err, HasSubstr("no-such-zone"));
  EXPECT_EQ(run({"bulkhead", "zone", "wait", "still"}).code, 7);
}

TEST(Life, ExecsWithStandardInputAndOutputApart) {
  NothingLeft nothing;
  Zone zone("exec", {"--pv"}, {"localhost:5000/busybox", "sleep", "100000"});
  auto piped = run({"bulkhead", "zone", "exec", "-i", "exec", "--", "sh", "-c", "cat; echo e >&2"},
                   "from outside\n");
  EXPECT_EQ(piped.code, 0) << piped;
  EXPECT_EQ(piped.out, "from outside\n");
  EXPECT_THAT(piped.err, HasSubstr("e\n"));
  EXPECT_EQ(zone.exec({"cat", "/proc/1/comm"}).out, "sleep\n")
      << "not in the container's pid namespace";
  auto big = run({"bulkhead", "zone", "exec", "exec", "--", "sh", "-c",
                  "dd if=/dev/zero bs=65536 count=64 2>/dev/null"});
  EXPECT_EQ(big.out.size(), 65536u * 64);
}

TEST(Life, KeepsLogs) {
  NothingLeft nothing;
  Zone zone("logs", {"--pv"},
            {"localhost:5000/busybox", "sh", "-c", "echo first; echo second >&2; sleep 100000"});
  EXPECT_TRUE(eventually([]() {
    auto logs = run({"bulkhead", "zone", "logs", "logs"});
    return logs.code == 0 && logs.out == "first\n" && logs.err == "second\n";
  })) << run({"bulkhead", "zone", "logs", "logs"});
  auto stamped = run({"bulkhead", "zone", "logs", "-t", "--since", "1h", "logs"});
  EXPECT_THAT(stamped.out,
              testing::MatchesRegex("20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}[.][0-9]{9}Z first\n"));
  EXPECT_EQ(run({"bulkhead", "zone", "logs", "--until", "1h", "logs"}).out, "");
}

TEST(Life, CopiesFilesInAndOut) {
  NothingLeft nothing;
  Zone zone("files", {"--pv"}, {"localhost:5000/busybox", "sleep", "100000"});
  auto made = run({"sh", "-c",
                   "rm -rf /tmp/cp && mkdir -p /tmp/cp/conf && cd /tmp/cp && echo one > conf/a && "
                   "chmod 640 conf/a && ln -s a conf/link && head -c 20000000 /dev/urandom > big"});
  ASSERT_EQ(made.code, 0) << made;
  auto in = run({"bulkhead", "zone", "cp", "/tmp/cp/conf", "files:/etc/app"});
  EXPECT_EQ(in.code, 0) << in;
  EXPECT_EQ(zone.exec({"sh", "-c", "stat -c %a /etc/app/a; cat /etc/app/link"}).out, "640\none\n");
  EXPECT_EQ(run({"bulkhead", "zone", "cp", "/tmp/cp/big", "files:/tmp"}).code, 0);
  auto out = run({"bulkhead", "zone", "cp", "files:/tmp/big", "/tmp/cp/back"});
  EXPECT_EQ(out.code, 0) << out;
  EXPECT_EQ(run({"cmp", "/tmp/cp/big", "/tmp/cp/back"}).code, 0);
  auto listed = run({"sh", "-c", "bulkhead zone cp files:/etc/app - | tar -t | sort"});
  EXPECT_EQ(listed.out, "app/\napp/a\napp/link\n") << listed;
  auto missing = run({"bulkhead", "zone", "cp", "files:/no/such", "/tmp/cp"});
  EXPECT_EQ(missing.code, 125);
  EXPECT_THAT(missing.err, HasSubstr("/no/such"));
  run({"rm", "-rf", "/tmp/cp"});
}

TEST(Life, ListsAndWaits) {
  NothingLeft nothing;
  Zone zone("waits", {"--pv"}, {"localhost:5000/busybox", "sh", "-c", "exit 7"});
  EXPECT_EQ(run({"bulkhead", "zone", "wait", "waits"}).code, 7);
  auto list = run({"bulkhead", "zone", "list"});
  EXPECT_THAT(list.out, HasSubstr("waits"));
  auto json = run({"bulkhead", "zone", "list", "--output", "json"});
  EXPECT_THAT(json.out, HasSubstr("\"waits\""));
}

TEST(Life, TheContainerSeesWhatItsImageAsksFor) {
  NothingLeft nothing;
  auto ran =
      run({"bulkhead", "run", "--pv", "-u", "app", "-w", "/tmp", "-e", "COLOR=blue", "--name",
           "asked", "localhost:5000/busybox", "sh", "-c", "id -u; pwd; echo $COLOR; hostname"});
  EXPECT_EQ(ran.code, 0) << ran;
  EXPECT_THAT(ran.out, HasSubstr("1000\n/tmp\nblue\nasked\n"));
}

TEST(Life, LayersAreFlattenedAsTheSpecificationSays) {
  NothingLeft nothing;
  std::string script =
      "cd /data && cat kept changed linked hidden/above folder/above again/one;"
      "ls -d removed hidden/below 2>/dev/null; stat -c '%a %u %g' owned";
  auto ran = run({"bulkhead", "run", "--pv", "localhost:5000/layers", "sh", "-c", script});
  EXPECT_EQ(ran.code, 0) << ran;
  EXPECT_EQ(ran.out,
            "from layer 2\nfrom layer 3\nfrom layer 2\nfrom layer 3\nfrom layer 3\nfrom layer 4\n"
            "640 1000 29\n");
}

TEST(Life, HostStatusNamesTheHypervisor) {
  auto status = run({"bulkhead", "host", "status"});
  EXPECT_EQ(status.code, 0) << status;
  EXPECT_THAT(status.out, HasSubstr("4.20"));
}

TEST(Life, InterruptEndsTheContainer) {
  NothingLeft nothing;
  Running client({"bulkhead", "run", "--pv", "localhost:5000/busybox", "sh", "-c",
                  "trap 'echo bye; exit 3' INT; echo ready; while :; do sleep 1; done"});
  ASSERT_TRUE(client.outputHas("ready"));
  client.kill(SIGINT);
  EXPECT_TRUE(client.outputHas("bye"));
  EXPECT_EQ(client.wait(), 3);
}

}  // namespace
}  // namespace bulkhead::xentest
