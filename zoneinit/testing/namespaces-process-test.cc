// SPDX-License-Identifier: Apache-2.0
//
// Which namespaces a container has to itself and which it shares.
#include <signal.h>

#include "zoneinit/testing/agent-fixture.h"

namespace bulkhead::zone {
namespace {

using Choice = schema::NamespaceChoice::Builder;
using Kind = schema::NamespaceChoice::Kind;
using Process = schema::ProcessSpec::Builder;
using Settings = schema::ContainerSettings::Builder;
using Spec = schema::WorkloadSpec::Builder;

constexpr kj::StringPtr kLook =
    "for n in pid net ipc uts cgroup user time mnt; do readlink /proc/self/ns/$n; done"_kj;

class NamespacesTest : public ZoneAgentTest {
 protected:
  ~NamespacesTest() noexcept override {}

  Outcome shWith(kj::StringPtr line, kj::Function<void(Settings)> change) {
    return client.sh(line, [&](Spec spec) { change(spec.initSettings()); });
  }

  FailureCode codeWith(kj::Function<void(Settings)> change) {
    return failureFrom([&]() { shWith("true", kj::mv(change)); }).code;
  }

  // The namespaces that a container with these choices is in, and those of the zone.
  kj::String zoneNamespace(kj::StringPtr name) {
    auto outcome = shWith(kj::str("readlink /proc/1/ns/", name), [](Settings s) {
      s.setConfinement(schema::ContainerSettings::Confinement::PRIVILEGED);
      s.initNamespaces(1)[0].setKind(Kind::PROCESS);
      s.getNamespaces()[0].setZone();
    });
    return kj::mv(outcome.output);
  }
};

void choose(Settings settings, Kind kind, kj::Function<void(Choice)> how) {
  auto choice = settings.initNamespaces(1)[0];
  choice.setKind(kind);
  how(choice);
}

void mapUsers(Settings settings) {
  for (auto mappings : {settings.initUserMappings(1), settings.initGroupMappings(1)}) {
    mappings[0].setOutside(100'000);
    mappings[0].setCount(65'536);
  }
}

void ownUsers(Settings settings) {
  choose(settings, Kind::USER, [](Choice choice) { choice.setOwn(); });
  mapUsers(settings);
}

// OCI: linux.namespaces
TEST_F(NamespacesTest, EachCanBeOwnOrTheZones) {
  struct Case {
    Kind kind;
    kj::StringPtr name;
    bool usuallyOwn;
  };
  for (auto& each : {Case{Kind::PROCESS, "pid", true}, Case{Kind::NETWORK, "net", false},
                     Case{Kind::IPC, "ipc", true}, Case{Kind::HOST_NAME, "uts", true},
                     Case{Kind::CGROUP, "cgroup", true}, Case{Kind::USER, "user", false},
                     Case{Kind::TIME, "time", false}}) {
    auto line = kj::str("readlink /proc/self/ns/", each.name);
    auto zone = zoneNamespace(each.name);
    ASSERT_GT(zone.size(), 4u) << each.name.cStr();
    EXPECT_EQ(client.sh(line).output == zone, !each.usuallyOwn) << each.name.cStr();
    auto shared = shWith(
        line, [&](Settings s) { choose(s, each.kind, [](Choice choice) { choice.setZone(); }); });
    EXPECT_STREQ(shared.output.cStr(), zone.cStr()) << each.name.cStr();
    auto own = shWith(line, [&](Settings s) {
      choose(s, each.kind, [](Choice choice) { choice.setOwn(); });
      if (each.kind == Kind::USER) mapUsers(s);
    });
    EXPECT_STRNE(own.output.cStr(), zone.cStr()) << each.name.cStr();
    EXPECT_EQ(own.code, 0) << each.name.cStr() << own.error.cStr();
  }
}

// OCI: linux.namespaces (path)
TEST_F(NamespacesTest, AreSharedWithAnotherWorkload) {
  auto first = client.create(words({"sleep", "1000"}), [](Spec s) {
    s.setId("first");
    s.setHostname("first");
    s.setNetworkMode(schema::WorkloadSpec::NetworkMode::NONE);
  });
  constexpr Kind kKinds[] = {Kind::PROCESS, Kind::NETWORK, Kind::IPC, Kind::HOST_NAME};
  auto share = [&](Settings s) {
    auto list = s.initNamespaces(4);
    for (uint i = 0; i < 4; ++i) {
      list[i].setKind(kKinds[i]);
      list[i].setWorkload("first");
    }
  };
  EXPECT_EQ(codeWith(share), FailureCode::BUSY) << "it was not started";
  auto main = client.start(first);
  auto look = client.exec(first, kLook);
  auto line = kj::str(kLook, "; hostname; ps | grep -c '[s]leep 1000'; ls /sys/class/net");
  auto second = shWith(line, share);
  EXPECT_TRUE(second.output.endsWith("first\n1\nlo\n")) << second.output.cStr();
  auto lines = [](kj::StringPtr text) {
    kj::Vector<kj::String> result;
    size_t start = 0;
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] != '\n') continue;
      result.add(kj::str(text.slice(start, i)));
      start = i + 1;
    }
    return result;
  };
  auto theirs = lines(look.output), ours = lines(second.output);
  ASSERT_GE(theirs.size(), 8u) << look.error.cStr();
  ASSERT_GE(ours.size(), 8u) << second.error.cStr();
  for (size_t i = 0; i < 4; ++i) EXPECT_STREQ(theirs[i].cStr(), ours[i].cStr());
  EXPECT_STRNE(theirs[7].cStr(), ours[7].cStr()) << "a mount namespace is always its own";
  EXPECT_EQ(codeWith([](Settings s) {
              choose(s, Kind::IPC, [](Choice choice) { choice.setWorkload("nobody"); });
            }),
            FailureCode::NOT_FOUND);
  first.destroyRequest().send().wait(ws);
  EXPECT_EQ(client.finish(main).signal, SIGKILL);
}

TEST_F(NamespacesTest, WhatASharedProcessNamespaceIsLeftWithEnds) {
  auto outcome = shWith("sleep 4321 & echo started", [](Settings s) {
    choose(s, Kind::PROCESS, [](Choice choice) { choice.setZone(); });
  });
  EXPECT_STREQ(outcome.output.cStr(), "started\n");
  auto left = shWith("ps | grep -c '[s]leep 4321'", [](Settings s) {
    choose(s, Kind::PROCESS, [](Choice choice) { choice.setZone(); });
  });
  EXPECT_STREQ(left.output.cStr(), "0\n");
}

// OCI: linux.uidMappings, linux.gidMappings
TEST_F(NamespacesTest, UsersOfItsOwnOwnTheImagesFiles) {
  auto outcome = shWith(
      "cat /proc/self/uid_map | tr -s ' '; id -u; stat -c '%u %g' /notexec / /dev/null; touch "
      "/mine && stat -c %u /mine; echo > /made && chown 1000:1000 /made && stat -c %u:%g /made; "
      "test -c /dev/pts/ptmx && echo terminals; head -c 1 /dev/zero | wc -c; echo x > /dev/stderr; "
      "cat /proc/self/oom_score_adj",
      ownUsers);
  EXPECT_STREQ(outcome.output.cStr(),
               " 0 100000 65536\n0\n0 0\n0 0\n0 0\n0\n1000:1000\nterminals\n1\n0\n")
      << outcome.error.cStr();
  EXPECT_TRUE(outcome.error.endsWith("x\n")) << outcome.error.cStr();
}

TEST_F(NamespacesTest, UsersOfItsOwnAreNobodyOutside) {
  auto refused = shWith(
      "echo -1000 > /proc/self/oom_score_adj; touch /zone/x; ls -n /zone/zone | awk '{print $3}'",
      [](Settings s) {
        ownUsers(s);
        auto mount = s.initMounts(1)[0];
        mount.setDestination("/zone");
        mount.setZonePath("/bin");
      });
  EXPECT_STREQ(refused.output.cStr(), "65534\n");
  EXPECT_NE(strstr(refused.error.cStr(), "Permission denied"), nullptr) << refused.error.cStr();

  auto workload = client.create(words({"sleep", "1000"}), [](Spec s) {
    s.setId("mapped");
    ownUsers(s.initSettings());
  });
  auto main = client.start(workload);
  auto inside = client.exec(workload, "id -u; id -G; touch /x && stat -c %u /x; echo out",
                            [](Process p) { p.setUser("app"); });
  EXPECT_STREQ(inside.output.cStr(), "1000\n1000 2000\nout\n");
  EXPECT_EQ(client.exec(workload, "test $(id -u) = 0 && touch /y").code, 0);
  EXPECT_EQ(shared->zone.runInside("sh -c \"ps -eo uid,args | grep -q '^ *100000 sleep 1000'\""),
            0);
  // Another workload in the same user namespace.
  auto second = shWith("stat -c %u /memory >&2; readlink /proc/self/ns/user; stat -c %u /notexec",
                       [](Settings s) {
                         choose(s, Kind::USER, [](Choice choice) { choice.setWorkload("mapped"); });
                         auto mount = s.initMounts(1)[0];
                         mount.setDestination("/memory");
                         mount.initMemory();
                       });
  EXPECT_STREQ(second.error.cStr(), "0\n") << "its memory is somebody else's";
  auto first = client.exec(workload, "readlink /proc/self/ns/user; stat -c %u /notexec");
  EXPECT_STREQ(second.output.cStr(), first.output.cStr()) << second.error.cStr();
  EXPECT_TRUE(second.output.endsWith("\n0\n")) << second.output.cStr();
  workload.destroyRequest().send().wait(ws);
  EXPECT_EQ(client.finish(main).signal, SIGKILL);
}

// Where network and host name are its own as well, its root is root over them.
TEST_F(NamespacesTest, RootOfItsOwnUsersRulesItsOwnNamespaces) {
  auto outcome = client.sh("mount -t tmpfs none /srv && echo mounted; hostname changed && hostname",
                           [](Spec spec) {
                             ownUsers(spec.initSettings());
                             spec.setNetworkMode(schema::WorkloadSpec::NetworkMode::NONE);
                             spec.getProcess().initCapabilities().initAdd(1).set(0, "SYS_ADMIN");
                           });
  EXPECT_STREQ(outcome.output.cStr(), "mounted\nchanged\n") << outcome.error.cStr();
}

TEST_F(NamespacesTest, RefusesChoicesThatMakeNoSense) {
  EXPECT_EQ(codeWith([](Settings s) {
              for (auto each : s.initNamespaces(2)) each.setKind(Kind::IPC);
            }),
            FailureCode::INVALID);
  EXPECT_EQ(codeWith(mapUsers), FailureCode::INVALID);
  EXPECT_EQ(
      codeWith([](Settings s) { choose(s, Kind::USER, [](Choice choice) { choice.setOwn(); }); }),
      FailureCode::INVALID);
  EXPECT_EQ(codeWith([](Settings s) {
              ownUsers(s);
              s.getUserMappings()[0].setOutside(UINT32_MAX - 1);
            }),
            FailureCode::INVALID);
  EXPECT_EQ(codeWith([](Settings s) {
              ownUsers(s);
              auto mappings = s.initUserMappings(2);
              for (auto each : mappings) each.setCount(10);
            }),
            FailureCode::INVALID);
  EXPECT_EQ(failureFrom([&]() {
              client.sh("true", [](Spec spec) {
                ownUsers(spec.initSettings());
                spec.getProcess().setUser("70000");
              });
            }).code,
            FailureCode::INVALID);
}

}  // namespace
}  // namespace bulkhead::zone
