// SPDX-License-Identifier: Apache-2.0
// The real zoned in its sandbox and the real command, with mocks of the four services between
// them and the machine.
#include <signal.h>
#include <sys/stat.h>

#include <capnp/compat/json.h>

#include "services/zoned/testing/zoned-fixture.h"

namespace bulkhead::testing {
namespace {

bool contains(kj::StringPtr text, kj::StringPtr part) {
  return std::string_view(text.cStr()).find(part.cStr()) != std::string_view::npos;
}

#define EXPECT_CONTAINS(text, part) EXPECT_TRUE(contains(text, part)) << (text).cStr()

TEST_F(ZonedProcess, RunShowsTheOutputAndLeavesNothing) {
  startZoned();
  auto result = run({"run", "--name", "first", "debian:13", "echo", "hello", "zone"});
  EXPECT_EQ(result.code, 0) << result.errors.cStr();
  EXPECT_STREQ(result.output.cStr(), "hello zone\n") << result.errors.cStr();
  EXPECT_TRUE(world.called("createDomain first"));
  EXPECT_TRUE(world.called("connectVif first"));
  EXPECT_TRUE(world.called("destroy first"));
  EXPECT_TRUE(world.called("release"));
  EXPECT_TRUE(world.empty());
  EXPECT_STREQ(run({"zone", "list", "-q"}).output.cStr(), "");
}

TEST_F(ZonedProcess, TheImagesCommandAndEnvironmentAreMerged) {
  startZoned();
  EXPECT_STREQ(run({"run", "debian:13"}).output.cStr(), "the image's own command\n");
  auto environment = run({"run", "-e", "MINE=1", "debian:13", "environment"});
  EXPECT_CONTAINS(environment.output, "FROM_IMAGE=yes\n");
  EXPECT_CONTAINS(environment.output, "MINE=1\n");
  EXPECT_CONTAINS(environment.output, "PATH=");
  EXPECT_TRUE(world.called("createWorkload stopped by SIGINT"));
}

TEST_F(ZonedProcess, TheAgentIsToldHowTheContainerIsSetUp) {
  startZoned();
  auto ran =
      run({"run", "--stop-signal", "SIGUSR2", "--security-opt", "mask=/secret", "debian:13"});
  EXPECT_EQ(ran.code, 0) << ran.errors.cStr();
  EXPECT_TRUE(world.called("createWorkload stopped by SIGUSR2"));
  EXPECT_TRUE(world.called("createWorkload masks /secret"));
  auto refused = run({"run", "--sysctl", "vm.swappiness=1", "debian:13"});
  EXPECT_EQ(refused.code, 125);
  EXPECT_CONTAINS(refused.errors, "vm.swappiness");
}

TEST_F(ZonedProcess, ExitCodesPassThrough) {
  startZoned();
  EXPECT_EQ(run({"run", "debian:13", "exit", "7"}).code, 7);
  auto missing = run({"run", "debian:13", "no-such-command"});
  EXPECT_EQ(missing.code, 127);
  EXPECT_CONTAINS(missing.errors, "bulkhead: no-such-command: no such file");
  EXPECT_TRUE(world.empty());
}

TEST_F(ZonedProcess, InputReachesTheProcess) {
  startZoned();
  auto result = run({"run", "-i", "debian:13", "cat"}, "through the pipe\n");
  EXPECT_STREQ(result.output.cStr(), "through the pipe\n") << result.errors.cStr();
  EXPECT_EQ(result.code, 0);
}

TEST_F(ZonedProcess, OpenInputDoesNotKeepAZoneAlive) {
  startZoned();
  auto running = begin({"run", "-i", "--name", "fed", "debian:13", "cat"}, "", InputEnd::open);
  until([&]() { return world.domains.size() == 1 && world.domains[0]->process != nullptr; });
  auto destroyed = run({"zone", "destroy", "fed"});
  EXPECT_EQ(destroyed.code, 0) << destroyed.errors.cStr();
  EXPECT_TRUE(world.empty());
  auto result = running.result.wait(io.waitScope);
  EXPECT_EQ(result.code, 125);
  EXPECT_CONTAINS(result.errors, "bulkhead: fed: the zone was destroyed");
}

TEST_F(ZonedProcess, EachFailingStepIsUndone) {
  startZoned();
  for (kj::StringPtr step : {"pull", "attach", "createDomain", "connect", "link", "configure",
                             "createWorkload", "start"}) {
    world.failing = kj::str(step);
    auto result = run({"run", "debian:13", "echo", "never"});
    EXPECT_EQ(result.code, 125) << step.cStr() << ": " << result.errors.cStr();
    EXPECT_CONTAINS(result.errors, "the mock was told to fail");
    EXPECT_CONTAINS(result.errors, "hint: tell it not to");
    EXPECT_STREQ(result.output.cStr(), "");
    EXPECT_TRUE(world.empty()) << step.cStr();
    EXPECT_STREQ(run({"zone", "list", "-q"}).output.cStr(), "") << step.cStr();
  }
}

TEST_F(ZonedProcess, AnImageWithoutACommandIsAnErrorBeforeAnythingIsBuilt) {
  startZoned();
  auto result = run({"run", "empty"});
  EXPECT_EQ(result.code, 125);
  EXPECT_CONTAINS(result.errors, "bulkhead: empty: the image names no command");
  EXPECT_TRUE(world.empty());
}

TEST_F(ZonedProcess, AGuestThatPanicsIsToldWithItsConsole) {
  startZoned();
  world.failing = kj::str("crash");
  auto result = run({"run", "debian:13", "echo"});
  EXPECT_EQ(result.code, 125);
  EXPECT_CONTAINS(result.errors, "Kernel panic - not syncing");
  EXPECT_TRUE(world.empty());
}

TEST_F(ZonedProcess, AGuestThatStaysSilentIsToldWithItsConsole) {
  configure("zoned.toml", "boot-deadline-seconds = 1\n");
  startZoned();
  world.failing = kj::str("ring");
  auto result = run({"run", "debian:13", "echo"});
  EXPECT_EQ(result.code, 125);
  EXPECT_CONTAINS(result.errors, "did not offer its ring within 1 s");
  EXPECT_CONTAINS(result.errors, "the last console line");
  EXPECT_TRUE(world.empty());
}

TEST_F(ZonedProcess, LaunchExecLogsInfoConsoleDestroy) {
  startZoned();
  auto launched = run({"zone", "launch", "--name", "web", "debian:13", "sleep"});
  EXPECT_STREQ(launched.output.cStr(), "web\n") << launched.errors.cStr();
  EXPECT_STREQ(run({"zone", "exec", "web", "echo", "inside"}).output.cStr(), "inside\n");
  EXPECT_EQ(run({"zone", "exec", "web", "exit", "3"}).code, 3);
  EXPECT_STREQ(run({"zone", "logs", "web"}).output.cStr(), "from the log\n");
  EXPECT_TRUE(world.called("logs since 0 until 0"));
  run({"zone", "logs", "-t", "--since", "2001-09-09T01:46:40Z", "--until", "2001-09-09T01:46:41Z",
       "web"});
  EXPECT_TRUE(
      world.called("logs since 1000000000000000000 until 1000000001000000000 with timestamps"));
  EXPECT_STREQ(run({"zone", "console", "web"}).output.cStr(), "booting\n\\x1b[2Jdone\n");
  auto info = run({"--output", "json", "zone", "info", "web"});
  EXPECT_CONTAINS(info.output, "\"state\": \"running\"");
  EXPECT_CONTAINS(info.output, "\"kernelVersion\": \"6.12.0-mock\"");
  EXPECT_CONTAINS(info.output, "10.75.0.2");
  for (kj::StringPtr phase :
       {"image", "network", "domain", "domain.build", "boot", "ring", "configure", "workload"}) {
    EXPECT_CONTAINS(info.output, kj::str("\"name\": \"", phase, "\""));
  }
  EXPECT_EQ(run({"zone", "destroy", "web"}).code, 0);
  EXPECT_TRUE(world.empty());
  auto gone = run({"zone", "info", "web"});
  EXPECT_EQ(gone.code, 125);
  EXPECT_CONTAINS(gone.errors, "bulkhead: web: there is no such zone");
}

TEST_F(ZonedProcess, WaitGivesTheExitCodeAndTheRecordStays) {
  startZoned();
  EXPECT_EQ(run({"zone", "launch", "--name", "job", "debian:13", "exit", "5"}).code, 0);
  EXPECT_EQ(run({"zone", "wait", "job"}).code, 5);
  EXPECT_CONTAINS(run({"zone", "list"}).output, "exited (5)");
  EXPECT_EQ(run({"zone", "destroy", "job"}).code, 0);
  EXPECT_TRUE(world.empty());
}

TEST_F(ZonedProcess, ANameIsTakenOnce) {
  startZoned();
  EXPECT_EQ(run({"zone", "launch", "--name", "web", "debian:13", "sleep"}).code, 0);
  auto second = run({"run", "--name", "web", "debian:13", "echo"});
  EXPECT_EQ(second.code, 125);
  EXPECT_CONTAINS(second.errors, "bulkhead: web: a zone of that name exists");
  EXPECT_CONTAINS(second.errors, "hint: destroy it first: bulkhead zone destroy web");
  // The one that has the name is not harmed.
  EXPECT_STREQ(run({"zone", "exec", "web", "echo", "still here"}).output.cStr(), "still here\n");
}

TEST_F(ZonedProcess, AWrongFieldIsNamed) {
  startZoned();
  auto result = run({"run", "--memory", "8", "debian:13", "echo"});
  EXPECT_EQ(result.code, 125);
  EXPECT_CONTAINS(result.errors, "bulkhead: memoryMiB: 8 MiB is not from 48");
  EXPECT_FALSE(world.called("attach"));
}

TEST_F(ZonedProcess, AnAdoptedZoneLivesOnAfterKillNine) {
  startZoned();
  EXPECT_EQ(run({"zone", "launch", "--name", "web", "debian:13", "sleep"}).code, 0);
  killZoned();
  startZoned();
  auto adopted = run({"zone", "exec", "web", "echo", "adopted"});
  EXPECT_STREQ(adopted.output.cStr(), "adopted\n") << adopted.errors.cStr();
  EXPECT_FALSE(world.called("destroy web"));
  EXPECT_EQ(run({"zone", "destroy", "web"}).code, 0);
  EXPECT_TRUE(world.empty());
}

TEST_F(ZonedProcess, AHalfMadeZoneIsUndoneAfterKillNine) {
  configure("zoned.toml", "boot-deadline-seconds = 100\n");
  startZoned();
  world.failing = kj::str("ring");
  auto launching = begin({"zone", "launch", "--name", "half", "debian:13", "sleep"});
  until([&]() { return world.domains.size() == 1 && !world.domains[0]->paused; });
  killZoned();
  launching.result.wait(io.waitScope);
  startZoned();
  until([&]() { return world.empty(); });
  EXPECT_TRUE(world.called("destroy half"));
  auto info = run({"zone", "info", "half"});
  EXPECT_CONTAINS(info.output, "zoned restarted during the launch");
  EXPECT_EQ(run({"zone", "destroy", "half"}).code, 0);
}

TEST_F(ZonedProcess, WhatNoRecordKnowsIsRemovedAtStart) {
  auto stray = kj::refcounted<MockWorld::MockDomain>();
  stray->id = Uuid::random();
  stray->name = kj::str("stray");
  world.domains.add(kj::mv(stray));
  world.attachments.insert(Uuid::random().text(), true);
  startZoned();
  until([&]() { return world.empty(); });
  EXPECT_TRUE(world.called("destroy stray"));
}

TEST_F(ZonedProcess, ALinkThatDiesIsAttachedAgain) {
  startZoned();
  EXPECT_EQ(run({"zone", "launch", "--name", "web", "debian:13", "sleep"}).code, 0);
  auto before = world.domains[0]->epoch;
  world.cutLinks();
  until([&]() { return world.domains[0]->epoch > before && world.domains[0]->linked; });
  EXPECT_STREQ(run({"zone", "exec", "web", "echo", "again"}).output.cStr(), "again\n");
}

TEST_F(ZonedProcess, ZonesOutliveTheRestartOfEachService) {
  startZoned();
  EXPECT_EQ(run({"zone", "launch", "--name", "web", "debian:13", "sleep"}).code, 0);
  for (auto edge : {Edge::images, Edge::network, Edge::hypervisor, Edge::rings}) {
    SCOPED_TRACE(kj::str(info(edge).name).cStr());
    restart(edge);
    until([&]() { return world.domains.size() == 1 && world.domains[0]->linked; });
    auto again = run({"zone", "exec", "web", "echo", "unharmed"});
    EXPECT_STREQ(again.output.cStr(), "unharmed\n") << again.errors.cStr();
  }
  EXPECT_EQ(run({"zone", "console", "web"}).code, 0);
  EXPECT_EQ(run({"zone", "destroy", "web"}).code, 0);
  EXPECT_TRUE(world.empty());
}

TEST_F(ZonedProcess, ARunKeepsItsExitCodeThroughARestartOfZoned) {
  startZoned();
  auto running = begin({"run", "debian:13", "sleep"});
  until([&]() { return world.domains.size() == 1 && world.domains[0]->process != nullptr; });
  killZoned();
  startZoned();
  until([&]() { return world.domains[0]->linked; });
  auto& process = KJ_ASSERT_NONNULL(world.domains[0]->process);
  process->code = 4;
  process->end();
  auto result = running.result.wait(io.waitScope);
  EXPECT_EQ(result.code, 4) << result.errors.cStr();
  EXPECT_CONTAINS(result.errors, "zoned restarted; the zone runs on");
  EXPECT_TRUE(world.empty());
  EXPECT_STREQ(run({"zone", "list", "-q"}).output.cStr(), "");
}

TEST_F(ZonedProcess, AClientThatVanishesTakesItsRunWithIt) {
  startZoned();
  auto running = begin({"run", "--name", "gone", "debian:13", "sleep"});
  until([&]() { return world.domains.size() == 1 && world.domains[0]->process != nullptr; });
  running.child->signal(SIGKILL);
  running.result.wait(io.waitScope);
  until([&]() { return world.empty(); });
  EXPECT_TRUE(world.called("destroy gone"));
}

TEST_F(ZonedProcess, AClientThatVanishesDuringTheLaunchTakesItsRunWithIt) {
  startZoned();
  world.failing = kj::str("ring");
  auto running = begin({"run", "--name", "gone", "debian:13", "sleep"});
  until([&]() { return world.domains.size() == 1 && !world.domains[0]->paused; });
  running.child->signal(SIGKILL);
  running.result.wait(io.waitScope);
  until([&]() { return world.empty(); });
}

TEST_F(ZonedProcess, ControlCReachesTheContainerFirst) {
  startZoned();
  auto running = begin({"run", "debian:13", "sleep"});
  until([&]() { return world.domains.size() == 1 && world.domains[0]->process != nullptr; });
  running.child->signal(SIGINT);
  auto result = running.result.wait(io.waitScope);
  EXPECT_EQ(result.code, 128 + SIGINT) << result.errors.cStr();
  EXPECT_TRUE(world.empty());
}

TEST_F(ZonedProcess, ControlCDuringTheLaunchCancelsIt) {
  startZoned();
  world.failing = kj::str("ring");
  auto running = begin({"run", "debian:13", "sleep"});
  until([&]() { return world.domains.size() == 1 && !world.domains[0]->paused; });
  running.child->signal(SIGINT);
  auto result = running.result.wait(io.waitScope);
  EXPECT_EQ(result.code, 128 + SIGINT) << result.errors.cStr();
  EXPECT_TRUE(world.empty());
}

TEST_F(ZonedProcess, WhoIsNotAdmittedIsDenied) {
  // root is always the administrator, so the command runs as somebody else here.
  if (geteuid() != 0) GTEST_SKIP() << "needs root to become another user";
  KJ_SYSCALL(chmod(directory.cStr(), 0755));
  KJ_SYSCALL(chmod(kj::str(directory, "/platform.sock").cStr(), 0666));
  startZoned();
  runAs = 65534;
  auto result = run({"zone", "list"});
  EXPECT_EQ(result.code, 125);
  EXPECT_CONTAINS(result.errors, "bulkhead: user 65534: may not use Bulkhead on this host");
  EXPECT_CONTAINS(result.errors, "hint: join the group bulkhead");
}

TEST_F(ZonedProcess, AUserSeesOwnZonesOnly) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to become another user";
  configure("access.toml", "users = [65534]\n");
  KJ_SYSCALL(chmod(directory.cStr(), 0755));
  KJ_SYSCALL(chmod(kj::str(directory, "/platform.sock").cStr(), 0666));
  startZoned();
  EXPECT_EQ(run({"zone", "launch", "--name", "roots", "debian:13", "sleep"}).code, 0);
  runAs = 65534;
  EXPECT_STREQ(run({"zone", "list", "-q"}).output.cStr(), "");
  EXPECT_EQ(run({"zone", "destroy", "roots"}).code, 125);
  // Names are unique for each owner, not for all.
  EXPECT_EQ(run({"zone", "launch", "--name", "roots", "debian:13", "sleep"}).code, 0);
  runAs = 0;
  EXPECT_STREQ(run({"zone", "list", "-q"}).output.cStr(), "roots\nroots\n");
}

TEST_F(ZonedProcess, JsonParses) {
  startZoned();
  EXPECT_EQ(run({"zone", "launch", "--name", "web", "--label", "a=b", "debian:13", "sleep"}).code,
            0);
  capnp::JsonCodec codec;
  for (auto& output :
       {run({"--output", "json", "zone", "list"}).output,
        run({"zone", "info", "web", "-o", "json"}).output,
        run({"host", "status", "-o", "json"}).output, run({"image", "list", "-o", "json"}).output,
        run({"image", "pull", "debian:13", "-o", "json"}).output,
        run({"image", "inspect", "debian:13", "-o", "json"}).output,
        run({"image", "history", "debian:13", "-o", "json"}).output,
        run({"image", "verify", "debian:13", "-o", "json"}).output,
        run({"image", "usage", "-o", "json"}).output, run({"version", "-o", "json"}).output}) {
    capnp::MallocMessageBuilder message;
    EXPECT_GT(output.size(), 2u);
    codec.decodeRaw(output.asArray(), message.initRoot<capnp::JsonValue>());
  }
}

TEST_F(ZonedProcess, ImagesOfAZoneThatRunsAreHeldAgainAfterARestartOfImaged) {
  startZoned();
  EXPECT_EQ(run({"zone", "launch", "--name", "web", "debian:13", "sleep"}).code, 0);
  until([&]() { return world.called("lease sha256:00"); });
  world.calls.clear();
  restart(Edge::images);
  until([&]() { return world.called("lease sha256:00"); });
  // zoned as well takes hold of them anew.
  world.calls.clear();
  killZoned();
  startZoned();
  until([&]() { return world.called("lease sha256:00"); });
  EXPECT_EQ(run({"zone", "destroy", "web"}).code, 0);
}

TEST_F(ZonedProcess, ImageCommandsShowWhatThereIs) {
  startZoned();
  auto inspect = run({"image", "inspect", "debian:13"});
  EXPECT_EQ(inspect.code, 0) << inspect.errors.cStr();
  EXPECT_CONTAINS(inspect.output, "signature      verified");
  EXPECT_CONTAINS(inspect.output, "sha256:11  1.0 MiB  gzip  (not kept)");
  EXPECT_CONTAINS(run({"image", "history", "debian:13"}).output, "1.0 MiB  ADD rootfs\n");
  EXPECT_EQ(run({"image", "verify", "debian:13"}).code, 0);
  auto damaged = run({"image", "verify", "damaged"});
  EXPECT_EQ(damaged.code, 1);
  EXPECT_CONTAINS(damaged.output, "damaged: root.squashfs is damaged");
  EXPECT_EQ(run({"image", "prune", "--all"}).output, "3.0 MiB freed\n");
  EXPECT_TRUE(world.called("prune unused"));
  EXPECT_EQ(run({"image", "remove", "debian:13"}).code, 0);
  EXPECT_TRUE(world.called("remove debian:13"));
  EXPECT_CONTAINS(run({"image", "usage"}).output, "5.0 MiB");
}

TEST_F(ZonedProcess, OnlyAdministratorsChangeImages) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to become another user";
  configure("access.toml", "users = [65534]\n");
  KJ_SYSCALL(chmod(directory.cStr(), 0755));
  KJ_SYSCALL(chmod(kj::str(directory, "/platform.sock").cStr(), 0666));
  startZoned();
  runAs = 65534;
  EXPECT_EQ(run({"image", "inspect", "debian:13"}).code, 0);
  for (auto& refused :
       {run({"image", "prune"}), run({"image", "remove", "debian:13"}), run({"image", "usage"}),
        run({"image", "import", "/dev/null", "localhost/x:1"})}) {
    EXPECT_EQ(refused.code, 125);
    EXPECT_CONTAINS(refused.errors, "only an administrator");
  }
  EXPECT_FALSE(world.called("prune unnamed"));
}

TEST_F(ZonedProcess, TimingsShowPhasesAndKernel) {
  startZoned();
  auto result = run({"run", "--timings", "debian:13", "echo", "x"});
  EXPECT_STREQ(result.output.cStr(), "x\n");
  EXPECT_CONTAINS(result.errors, "request to ready");
  EXPECT_CONTAINS(result.errors, "zone kernel: Linux 6.12.0-mock (pv)");
}

}  // namespace
}  // namespace bulkhead::testing
