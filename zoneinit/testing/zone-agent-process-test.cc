// SPDX-License-Identifier: Apache-2.0
//
// The real /init and agent in namespaces of their own, over a socket in place of the ring.
#include <signal.h>
#include <stdlib.h>

#include <set>
#include <string>
#include <utility>

#include "zoneinit/testing/agent-fixture.h"

namespace bulkhead::zone {
namespace {

using ProcessBuilder = schema::ProcessSpec::Builder;
using Spec = schema::WorkloadSpec::Builder;

TEST_F(ZoneAgentTest, TellsAboutTheZone) {
  auto response = client.agent.infoRequest().send().wait(ws);
  auto info = response.getInfo();
  EXPECT_GT(info.getKernelVersion().size(), 0u);
  EXPECT_GT(info.getMemoryTotalKiB(), 0u);
  EXPECT_GT(info.getBootNanoseconds(), 0u);
}

TEST_F(ZoneAgentTest, PassesExitCodesThrough) {
  EXPECT_EQ(client.run(words({"true"})).code, 0);
  EXPECT_EQ(client.run(words({"/bin/false"})).code, 1);
  EXPECT_EQ(client.sh("exit 42").code, 42);
  EXPECT_EQ(client.sh("kill -9 $$; exec sh -c 'kill -9 $$'").code, 0);
}

TEST_F(ZoneAgentTest, KeepsOutputAndErrorApart) {
  auto outcome = client.sh("echo out; echo err >&2; printf last");
  EXPECT_STREQ(outcome.output.cStr(), "out\nlast");
  EXPECT_STREQ(outcome.error.cStr(), "err\n");
  EXPECT_TRUE(outcome.outputEnded);
}

TEST_F(ZoneAgentTest, HandsOverAllOutputBeforeItSaysTheEnd) {
  auto outcome = client.sh("dd if=/dev/zero bs=64k count=64 2>/dev/null | tr '\\0' x");
  EXPECT_EQ(outcome.output.size(), 4u << 20);
}

TEST_F(ZoneAgentTest, ReportsCommandsThatCannotRun) {
  auto notFound = [&](std::initializer_list<kj::StringPtr> command) {
    return failureFrom([&]() { client.run(words(command)); });
  };
  EXPECT_EQ(notFound({"no-such-command"}).code, FailureCode::COMMAND_NOT_FOUND);
  EXPECT_EQ(notFound({"/no/such/command"}).code, FailureCode::COMMAND_NOT_FOUND);
  EXPECT_EQ(notFound({"nointerpreter"}).code, FailureCode::COMMAND_NOT_FOUND);
  EXPECT_EQ(notFound({"/notexec"}).code, FailureCode::COMMAND_NOT_EXECUTABLE);
  EXPECT_EQ(notFound({"/etc"}).code, FailureCode::COMMAND_NOT_EXECUTABLE);
  EXPECT_EQ(notFound({"noshebang"}).code, FailureCode::COMMAND_NOT_EXECUTABLE);
  EXPECT_EQ(failureFrom([&]() { client.run(nullptr); }).code, FailureCode::NO_ENTRYPOINT);
}

TEST_F(ZoneAgentTest, RefusesBadSpecs) {
  auto with = [&](AgentClient::Change change) {
    return failureFrom([&]() { client.run(words({"true"}), kj::mv(change)); }).code;
  };
  EXPECT_EQ(with([](Spec s) { s.setId("../x"); }), FailureCode::INVALID);
  EXPECT_EQ(with([](Spec s) { s.setRootDisk("../../etc"); }), FailureCode::INVALID);
  EXPECT_EQ(with([](Spec s) { s.getProcess().setUser("99999999999"); }), FailureCode::INVALID);
  EXPECT_EQ(with([](Spec s) { s.getProcess().setUser("nobody-here"); }), FailureCode::INVALID);
  EXPECT_EQ(with([](Spec s) { s.getProcess().setUser("huge"); }), FailureCode::INVALID);
  EXPECT_EQ(with([](Spec s) { s.getProcess().setWorkingDirectory("relative"); }),
            FailureCode::INVALID);
  EXPECT_EQ(with([](Spec s) { s.getProcess().setWorkingDirectory("/bin/busybox"); }),
            FailureCode::INVALID);
}

TEST_F(ZoneAgentTest, WritesInput) {
  auto workload = client.create(words({"cat"}));
  auto started = client.start(workload, TestInput::piped);
  auto input = started.process.stdinRequest().send().wait(ws).getStream();
  for (auto text : {"one\n"_kj, "two\n"_kj}) {
    auto request = input.writeRequest();
    request.setBytes(text.asBytes());
    request.send().wait(ws);
  }
  client.waitFor(*started.output, "two");
  input.endRequest().send().wait(ws);
  auto outcome = client.finish(started);
  EXPECT_EQ(outcome.code, 0);
  EXPECT_STREQ(outcome.output.cStr(), "one\ntwo\n");
  EXPECT_EQ(failureFrom([&]() { started.process.stdinRequest().send().wait(ws); }).code,
            FailureCode::BUSY);
  workload.destroyRequest().send().wait(ws);
}

TEST_F(ZoneAgentTest, GivesEnvironmentDirectoryUserAndName) {
  auto outcome =
      client.sh("echo $PATH; echo $HOME $FOO; pwd; id -u; id -g; id -G; hostname", [](Spec s) {
        auto process = s.getProcess();
        process.setUser("app");
        process.setWorkingDirectory("/made/for/it");
        process.initEnvironment(1).set(0, "FOO=bar");
        s.setHostname("box");
      });
  EXPECT_STREQ(outcome.output.cStr(),
               "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n/srv bar\n"
               "/made/for/it\n1000\n1000\n1000 2000\nbox\n")
      << outcome.error.cStr();
  auto numeric = client.sh("id -u; id -g; echo $HOME; touch /tmp/x /x; echo data > /dev/stderr",
                           [](Spec s) { s.getProcess().setUser("1234:77"); });
  EXPECT_STREQ(numeric.output.cStr(), "1234\n77\n/\n");
  EXPECT_NE(strstr(numeric.error.cStr(), "/x: Permission denied"), nullptr);
  EXPECT_NE(strstr(numeric.error.cStr(), "data"), nullptr);
}

TEST_F(ZoneAgentTest, ConfinesTheContainer) {
  auto outcome = client.sh(
      "echo pid $$; ls -d /proc/1 /proc/2 2>/dev/null; grep -E '^(CapEff|NoNewPrivs|Seccomp):' "
      "/proc/self/status; ls /proc/self/fd | wc -l; cat /proc/sys/kernel/hostname > /dev/null && "
      "echo readable; echo x > /proc/sys/kernel/hostname; mount -t tmpfs none /tmp; ls /dev/xen; "
      "wc -c < /proc/kcore; ls /sys/firmware | wc -l; cat /sys/fs/cgroup/cgroup.controllers "
      "> /dev/null && echo cgroup; touch /sys/x; reboot -f; unshare -m true",
      [](Spec) {});
  auto has = [&](kj::StringPtr text) {
    return strstr(outcome.output.cStr(), text.cStr()) != nullptr;
  };
  EXPECT_TRUE(has("pid 1\n"));
  EXPECT_TRUE(has("CapEff:\t00000000a80425fb")) << outcome.output.cStr();
  EXPECT_TRUE(has("NoNewPrivs:\t1"));
  EXPECT_TRUE(has("Seccomp:\t2"));
  EXPECT_TRUE(has("readable\n"));
  EXPECT_TRUE(has("cgroup\n"));
  auto refused = [&](kj::StringPtr text) {
    return strstr(outcome.error.cStr(), text.cStr()) != nullptr;
  };
  EXPECT_TRUE(refused("hostname: Read-only")) << outcome.error.cStr();
  EXPECT_TRUE(refused("mount: ")) << outcome.error.cStr();
  EXPECT_TRUE(refused("/dev/xen: No such"));
  EXPECT_TRUE(refused("/sys/x: Read-only"));
  EXPECT_TRUE(refused("unshare: ")) << outcome.error.cStr();
}

TEST_F(ZoneAgentTest, OpensCallsToACapabilityThatWasGiven) {
  auto command = "linux32 uname -m; unshare -m sh -c 'mount -t tmpfs none /tmp && echo mounted'";
  auto ordinary = client.sh(command, [](Spec) {});
  EXPECT_STREQ(ordinary.output.cStr(), "i686\n");
  EXPECT_NE(strstr(ordinary.error.cStr(), "Operation not permitted"), nullptr);
  auto admin = client.sh(
      command, [](Spec s) { s.getProcess().initCapabilities().initAdd(1).set(0, "SYS_ADMIN"); });
  EXPECT_STREQ(admin.output.cStr(), "i686\nmounted\n") << admin.error.cStr();
}

TEST_F(ZoneAgentTest, OpensNoDeviceBesidesTheHarmless) {
  auto outcome = client.sh(
      "mknod /dev/mine b 7 0; cat /dev/mine | wc -c; mknod /dev/kmsg2 c 1 11; cat /dev/kmsg2; "
      "head -c 3 /dev/zero | wc -c; echo x > /dev/null && echo null");
  EXPECT_NE(strstr(outcome.error.cStr(), "/dev/mine': Operation not permitted"), nullptr)
      << outcome.error.cStr();
  EXPECT_NE(strstr(outcome.error.cStr(), "/dev/kmsg2': Operation not permitted"), nullptr)
      << outcome.error.cStr();
  EXPECT_STREQ(outcome.output.cStr(), "0\n3\nnull\n");
}

TEST_F(ZoneAgentTest, IsNotLedOutOfTheRootByTheImage) {
  // The image's /etc/resolv.conf is a symlink upwards, /dev and /proc lead to /etc, /sys is a file.
  auto request = client.agent.configureRequest();
  auto config = request.initConfig();
  config.setHostname("zone-under-test");
  config.initNameservers(1).set(0, "192.0.2.53");
  config.initSearchDomains(1).set(0, "zone.example");
  auto host = config.initHosts(1)[0];
  host.setKey("db");
  host.setValue("192.0.2.7");
  request.send().wait(ws);

  auto outcome = client.sh(
      "cat /etc/resolv.conf; grep db /etc/hosts; cat /etc/hostname; test -L /dev || echo dev; test "
      "-L /proc || echo proc; test -d /sys && echo sys; ls /etc/null 2>/dev/null");
  EXPECT_STREQ(outcome.output.cStr(),
               "nameserver 192.0.2.53\nsearch zone.example\n192.0.2.7\tdb\nzone-under-test\n"
               "dev\nproc\nsys\n");
  EXPECT_EQ(failureFrom([&]() {
              client.run(words({"pwd"}),
                         [](Spec s) { s.getProcess().setWorkingDirectory("/srv/magic"); });
            }).code,
            FailureCode::INVALID);
}

TEST_F(ZoneAgentTest, KeepsAReadOnlyRootReadOnly) {
  auto outcome = client.sh("touch /x; touch /tmp/x; echo y > /dev/shm/y && echo shm",
                           [](Spec s) { s.setReadOnlyRoot(true); });
  EXPECT_STREQ(outcome.output.cStr(), "shm\n");
  EXPECT_NE(strstr(outcome.error.cStr(), "/x: Read-only"), nullptr);
  auto first = client.sh("echo mine > /bin/kept; cat /bin/kept");
  EXPECT_STREQ(first.output.cStr(), "mine\n");
  EXPECT_EQ(client.sh("test -e /bin/kept").code, 1) << "one container's writes reached another";
}

TEST_F(ZoneAgentTest, RunsFurtherProcessesInside) {
  auto workload = client.create(words({"sleep", "1000"}));
  auto main = client.start(workload);
  auto outcome = client.exec(workload,
                             "ps | grep -c '[s]leep 1000'; hostname; id -u; pwd; echo $HOME; grep "
                             "Seccomp: /proc/self/status",
                             [](ProcessBuilder p) {
                               p.setUser("app:extra");
                               p.setWorkingDirectory("/tmp");
                             });
  EXPECT_STREQ(outcome.output.cStr(), "1\nzone-under-test\n1000\n/tmp\n/srv\nSeccomp:\t2\n")
      << outcome.error.cStr();
  EXPECT_EQ(client.exec(workload, "exit 7").code, 7);
  auto missing = failureFrom([&]() {
    auto request = workload.execRequest();
    request.initSpec().initArguments(1).set(0, "nothing");
    request.send().wait(ws);
  });
  EXPECT_EQ(missing.code, FailureCode::COMMAND_NOT_FOUND);

  auto signalled = main.process.signalRequest();
  signalled.setNumber(SIGKILL);
  signalled.send().wait(ws);
  EXPECT_EQ(client.finish(main).signal, SIGKILL);
  EXPECT_EQ(failureFrom([&]() { client.exec(workload, "true"); }).code, FailureCode::BUSY);
  workload.destroyRequest().send().wait(ws);
  workload.destroyRequest().send().wait(ws);
}

TEST_F(ZoneAgentTest, DeliversSignalsAndStops) {
  auto workload = client.create(words({"sh", "-c",
                                       "trap 'echo got; exit 3' TERM; echo up; while :; "
                                       "do sleep 1000 & wait; done"}));
  auto main = client.start(workload);
  client.waitFor(*main.output, "up");
  auto stop = workload.stopRequest();
  stop.setGraceMilliseconds(60'000);
  EXPECT_EQ(stop.send().wait(ws).getStatus().getCode(), 3);
  EXPECT_STREQ(client.finish(main).output.cStr(), "up\ngot\n");
  workload.destroyRequest().send().wait(ws);

  // A first process has no default reaction to SIGTERM: the grace runs out.
  auto deaf = client.create(words({"sleep", "1000"}));
  auto deafMain = client.start(deaf);
  auto stopDeaf = deaf.stopRequest();
  stopDeaf.setGraceMilliseconds(50);
  EXPECT_EQ(stopDeaf.send().wait(ws).getStatus().getSignal(), SIGKILL);
  deaf.destroyRequest().send().wait(ws);

  auto usr = client.create(words({"sh", "-c",
                                  "trap 'echo hup; exit 0' HUP; echo up; while :; do "
                                  "sleep 1000 & wait; done"}),
                           [](Spec s) { s.setStopSignal("SIGHUP"); });
  auto usrMain = client.start(usr);
  client.waitFor(*usrMain.output, "up");
  auto stopUsr = usr.stopRequest();
  stopUsr.setGraceMilliseconds(60'000);
  EXPECT_EQ(stopUsr.send().wait(ws).getStatus().getCode(), 0);
  usr.destroyRequest().send().wait(ws);
}

TEST_F(ZoneAgentTest, KeepsAndFollowsLogs) {
  auto workload = client.create(words({"sh", "-c", "echo a; echo b >&2; echo c; read x; echo d"}));
  auto main = client.start(workload, TestInput::piped);
  client.waitFor(*main.output, "c");
  auto followed = kj::refcounted<Collected>();
  auto request = workload.logsRequest();
  request.initOptions().setFollow(true);
  request.setStdout(collectInto(*followed));
  auto following = request.send();
  client.waitFor(*followed, "c\n");
  EXPECT_FALSE(followed->contains("b"));
  auto input = main.process.stdinRequest().send().wait(ws).getStream();
  input.endRequest().send().wait(ws);
  following.wait(ws);
  EXPECT_STREQ(followed->text().cStr(), "a\nc\nd\n");
  EXPECT_TRUE(followed->ended);
  EXPECT_EQ(client.logs(workload).size(), 8u);
  EXPECT_STREQ(client.logs(workload, 1).cStr(), "d\n");
  client.finish(main);
  workload.destroyRequest().send().wait(ws);
}

TEST_F(ZoneAgentTest, BoundsTheLogOfAFlood) {
  auto workload =
      client.create(words({"sh", "-c", "seq 1 200000"}), [](Spec s) { s.setLogBytes(64 << 10); });
  auto request = workload.startRequest();  // nobody reads along
  auto process = request.send().wait(ws).getProcess();
  EXPECT_EQ(process.waitRequest().send().wait(ws).getStatus().getCode(), 0);
  auto log = client.logs(workload);
  EXPECT_LE(log.size(), 64u << 10);
  EXPECT_GE(log.size(), 32u << 10);
  EXPECT_TRUE(log.endsWith("\n200000\n"));
  workload.destroyRequest().send().wait(ws);
}

TEST_F(ZoneAgentTest, GivesATerminal) {
  auto workload = client.create(words({"sh", "-c",
                                       "stty size; tty; test -t 0 && test -t 1 && echo "
                                       "yes; read line; stty size; echo $line $TERM; "
                                       "ls -l /dev/console | cut -c1"}),
                                [](Spec s) {
                                  auto size = s.getProcess().initTerminal();
                                  size.setRows(24);
                                  size.setColumns(80);
                                });
  auto main = client.start(workload);
  client.waitFor(*main.output, "yes");
  auto resize = main.process.resizeRequest();
  resize.initSize().setRows(50);
  resize.getSize().setColumns(132);
  resize.send().wait(ws);
  auto input = main.process.stdinRequest().send().wait(ws).getStream();
  auto write = input.writeRequest();
  write.setBytes("typed\n"_kj.asBytes());
  write.send().wait(ws);
  auto outcome = client.finish(main);
  EXPECT_STREQ(outcome.output.cStr(),
               "24 80\r\n/dev/pts/0\r\nyes\r\ntyped\r\n50 132\r\ntyped xterm\r\nc\r\n");
  workload.destroyRequest().send().wait(ws);
}

TEST_F(ZoneAgentTest, RunsExecInATerminal) {
  auto workload = client.create(words({"sleep", "1000"}));
  auto main = client.start(workload);
  auto outcome = client.exec(workload, "stty size; tty", [](ProcessBuilder p) {
    p.initTerminal().setRows(10);
    p.getTerminal().setColumns(20);
  });
  EXPECT_STREQ(outcome.output.cStr(), "10 20\r\n/dev/pts/0\r\n");
  workload.destroyRequest().send().wait(ws);
  EXPECT_EQ(client.finish(main).signal, SIGKILL);
}

TEST_F(ZoneAgentTest, KeepsWorkloadsApart) {
  auto one = client.create(words({"sleep", "1000"}), [](Spec s) { s.setId("one"); });
  auto two = client.create(words({"sleep", "2000"}), [](Spec s) { s.setId("two"); });
  EXPECT_EQ(
      failureFrom([&]() { client.create(words({"true"}), [](Spec s) { s.setId("one"); }); }).code,
      FailureCode::ALREADY_EXISTS);
  auto first = client.start(one), second = client.start(two);
  EXPECT_STREQ(client.exec(one, "echo secret > /tmp/f; ps | grep -c '[s]leep'").output.cStr(),
               "1\n");
  EXPECT_EQ(client.exec(two, "test -e /tmp/f").code, 1);
  auto list = client.agent.workloadsRequest().send().wait(ws);
  EXPECT_EQ(list.getWorkloads().size(), 2u);
  one.destroyRequest().send().wait(ws);
  EXPECT_EQ(client.exec(two, "echo alive").code, 0);
  two.destroyRequest().send().wait(ws);
  EXPECT_EQ(client.agent.workloadsRequest().send().wait(ws).getWorkloads().size(), 0u);
}

TEST_F(ZoneAgentTest, TellsWhatWorkloadsUseAndWhatRunsInThem) {
  auto busy =
      client.create(words({"sh", "-c", "head -c 8000000 /dev/zero > /tmp/f; sleep 1000; true"}),
                    [](Spec s) { s.setId("busy"); });
  auto idle = client.create(words({"sleep", "2000"}), [](Spec s) { s.setId("idle"); });
  auto first = client.start(busy), second = client.start(idle);
  // The file is complete when the shell waits for its sleep.
  client.exec(busy, "until pidof sleep; do usleep 10000; done");

  auto answer = client.agent.metricsRequest().send().wait(ws);
  auto metrics = answer.getMetrics();
  EXPECT_GT(metrics.getZone().getMemoryBytes(), 0u);
  EXPECT_GT(metrics.getZone().getMemoryLimitBytes(), metrics.getZone().getMemoryBytes());
  EXPECT_GT(metrics.getZone().getProcesses(), 2u);
  uint64_t memory[2] = {};
  for (auto workload : metrics.getWorkloads()) {
    auto usage = workload.getUsage();
    EXPECT_GT(usage.getCpuNanoseconds(), 0u);
    memory[workload.getId() == "busy" ? 0 : 1] = usage.getMemoryBytes();
    // Where these tests run not every controller need be there.
    if (usage.getProcesses() == 0) continue;
    EXPECT_EQ(usage.getProcesses(), workload.getId() == "busy" ? 2u : 1u);
  }
  ASSERT_EQ(metrics.getWorkloads().size(), 2u);
  if (memory[0] > 0) {
    EXPECT_GT(memory[0], memory[1] + 6'000'000);
  }

  auto list = client.agent.processesRequest().send().wait(ws);
  EXPECT_EQ(list.getOmitted(), 0u);
  std::set<std::pair<std::string, std::string>> found;
  for (auto process : list.getProcesses()) {
    found.emplace(process.getName().cStr(), process.getWorkload().cStr());
  }
  EXPECT_TRUE(found.contains({"sh", "busy"}));
  EXPECT_TRUE(found.contains({"sleep", "busy"}));
  EXPECT_TRUE(found.contains({"sleep", "idle"}));
  EXPECT_FALSE(found.contains({"sh", "idle"}));
  busy.destroyRequest().send().wait(ws);
  idle.destroyRequest().send().wait(ws);
}

TEST_F(ZoneAgentTest, GivesNoNetworkWhereNoneIsWanted) {
  auto outcome =
      client.sh("ls /sys/class/net; ping -c 1 -w 5 127.0.0.1 >/dev/null && echo lo",
                [](Spec s) { s.setNetworkMode(schema::WorkloadSpec::NetworkMode::NONE); });
  EXPECT_STREQ(outcome.output.cStr(), "lo\nlo\n");
}

TEST_F(ZoneAgentTest, ConfiguresInterfacesByMac) {
  ASSERT_EQ(shared->zone.runInside("ip link add eth7 address 02:00:00:00:00:07 type veth peer name "
                                   "peer7"),
            0);
  auto request = client.agent.configureRequest();
  auto plans = request.initConfig().initInterfaces(2);
  auto fill = [](schema::InterfacePlan::Builder plan, kj::StringPtr mac, kj::StringPtr address) {
    plan.setMac(mac);
    plan.setMtu(1400);
    plan.initAddresses(1).set(0, address);
    plan.initGateways(1).set(0, "169.254.1.1");
  };
  fill(plans[0], "02:00:00:00:00:07", "192.0.2.2/32");
  fill(plans[1], "02:00:00:00:00:08", "192.0.2.3/32");
  request.send().wait(ws);
  EXPECT_EQ(shared->zone.runInside("sh -c \"ip addr show eth7 | grep -q 'inet 192.0.2.2/32'\""), 0);
  EXPECT_EQ(shared->zone.runInside("sh -c \"ip link show eth7 | grep -q 'mtu 1400'\""), 0);
  EXPECT_EQ(shared->zone.runInside(
                "sh -c \"ip route | grep -q 'default via 169.254.1.1 dev eth7 .*onlink'\""),
            0);
  EXPECT_EQ(
      shared->zone.runInside("sh -c \"ip route | grep -q '169.254.1.1 dev eth7 .*scope link'\""),
      0);

  // The other one appears later: the watch ends when it has its address.
  ASSERT_EQ(
      shared->zone.runInside(
          "sh -c \"ip -o monitor address > /tmp/bulkhead-monitor-$$ & m=\\$!; sleep 0.2; ip link "
          "add eth8 address 02:00:00:00:00:08 type veth peer name peer8; for i in 1 2 3 4 5 6 7 "
          "8 9 10; do ip addr show eth8 | grep -q 192.0.2.3/32 && break; sleep 0.2; done; kill "
          "\\$m; rm -f /tmp/bulkhead-monitor-$$; ip addr show eth8 | grep -q 192.0.2.3/32\""),
      0);
  auto wrong = client.agent.configureRequest();
  wrong.initConfig().initInterfaces(1)[0].setMac("not a mac");
  EXPECT_EQ(failureFrom([&]() { wrong.send().wait(ws); }).code, FailureCode::INVALID);
}

TEST_F(ZoneAgentTest, SurvivesAZombieStorm) {
  auto outcome =
      client.sh("i=0; while [ $i -lt 300 ]; do (sleep 0 & ) ; i=$((i+1)); done; echo done");
  EXPECT_STREQ(outcome.output.cStr(), "done\n");
  // What init was left with is gone: its only child is the agent.
  EXPECT_EQ(shared->zone.runInside(kj::str("sh -c \"test $(ps -o pid= --ppid ",
                                           shared->zone.number(), " | wc -l) = 1\"")),
            0);
}

TEST_F(ZoneAgentTest, ServesManyExecsWithoutLeaking) {
  auto workload = client.create(words({"sleep", "1000"}));
  auto main = client.start(workload);
  auto agentFds = [&]() {
    auto info = client.exec(workload, "true");
    EXPECT_EQ(info.code, 0);
    return system(kj::str("test $(ls /proc/$(ps -o pid= --ppid ", shared->zone.number(),
                          " | tr -d ' ')/fd | wc -l) -lt 64")
                      .cStr());
  };
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(client.exec(workload, kj::str("exit ", i % 256)).code, i % 256);
  }
  // And many at once, each with its own output and its own end.
  auto all = kj::heap<kj::Vector<AgentClient::Started>>();
  for (int i = 0; i < 20; ++i) {
    auto line = kj::str("seq ", i, "000 ", i, "999; echo last >&2; exit ", i);
    all->add(client.startExec(workload, line, [](ProcessBuilder) {}));
  }
  for (int i = 0; i < 20; ++i) {
    auto outcome = client.finish((*all)[static_cast<size_t>(i)]);
    EXPECT_EQ(outcome.code, i);
    EXPECT_STREQ(outcome.error.cStr(), "last\n");
    EXPECT_EQ(outcome.output.size(), i == 0 ? 3890u : i < 10 ? 5000u : 6000u);
    EXPECT_TRUE(outcome.output.endsWith("999\n"));
  }
  all = nullptr;  // what is asked about is held
  EXPECT_EQ(agentFds(), 0);
  workload.destroyRequest().send().wait(ws);
}

TEST_F(ZoneAgentTest, DoesNotWaitForAGrandchildThatKeepsTheOutput) {
  auto workload = client.create(words({"sleep", "1000"}));
  auto main = client.start(workload);
  auto outcome = client.exec(workload, "echo here; sleep 500 & exit 5");
  EXPECT_EQ(outcome.code, 5);
  EXPECT_STREQ(outcome.output.cStr(), "here\n");
  workload.destroyRequest().send().wait(ws);
}

TEST_F(ZoneAgentTest, ServesAgainAfterASessionIsLost) {
  auto workload = client.create(words({"sleep", "1000"}), [](Spec s) { s.setId("kept"); });
  auto main = client.start(workload);
  auto fresh = shared->zone.connect(*shared->io.lowLevelProvider);
  connection = nullptr;
  auto agent = fresh->bootstrap<schema::ZoneAgent>();
  auto list = agent.workloadsRequest().send().wait(ws);
  ASSERT_EQ(list.getWorkloads().size(), 1u);
  EXPECT_STREQ(list.getWorkloads()[0].getId().cStr(), "kept");
  EXPECT_EQ(list.getWorkloads()[0].getState(), schema::WorkloadEntry::State::RUNNING);
  list.getWorkloads()[0].getWorkload().destroyRequest().send().wait(ws);
}

TEST_F(ZoneAgentTest, StartsTheAgentAgainWhenItDies) {
  auto workload = client.create(words({"sleep", "4000"}), [](Spec s) { s.setId("orphan"); });
  auto main = client.start(workload);
  ASSERT_EQ(system(kj::str("kill -9 $(ps -o pid= --ppid ", shared->zone.number(), ")").cStr()), 0);
  connection->onDisconnect().wait(ws);
  connection = shared->zone.connect(*shared->io.lowLevelProvider);
  AgentClient again(ws, connection->bootstrap<schema::ZoneAgent>(), shared->image.disk());
  EXPECT_EQ(again.agent.workloadsRequest().send().wait(ws).getWorkloads().size(), 0u);
  EXPECT_EQ(again.sh("exit 9", [](Spec s) { s.setId("orphan"); }).code, 9);
}

}  // namespace
}  // namespace bulkhead::zone
