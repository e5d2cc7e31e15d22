// SPDX-License-Identifier: Apache-2.0
//
// What a container may be told besides its command, each setting seen from inside.
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "zoneinit/testing/agent-fixture.h"

namespace bulkhead::zone {
namespace {

using Process = schema::ProcessSpec::Builder;
using Settings = schema::ContainerSettings::Builder;
using Spec = schema::WorkloadSpec::Builder;

class ContainerSettingsTest : public ZoneAgentTest {
 protected:
  ~ContainerSettingsTest() noexcept override {}

  Outcome shWith(kj::StringPtr line, kj::Function<void(Settings)> change) {
    return client.sh(line, [&](Spec spec) { change(spec.initSettings()); });
  }

  Outcome shAs(kj::StringPtr line, kj::Function<void(Process)> change) {
    return client.sh(line, [&](Spec spec) { change(spec.getProcess()); });
  }

  FailureCode codeWith(kj::Function<void(Settings)> change) {
    return failureFrom([&]() { shWith("true", kj::mv(change)); }).code;
  }

  FailureCode codeAs(kj::Function<void(Process)> change) {
    return failureFrom([&]() { shAs("true", kj::mv(change)); }).code;
  }
};

void setTexts(capnp::List<capnp::Text>::Builder list, std::initializer_list<kj::StringPtr> texts) {
  uint i = 0;
  for (auto text : texts) list.set(i++, text);
}

schema::Mount::Builder oneMount(Settings settings, kj::StringPtr destination) {
  auto mount = settings.initMounts(1)[0];
  mount.setDestination(destination);
  return mount;
}

void set(capnp::List<schema::KeyValue>::Builder list, kj::StringPtr key, kj::StringPtr value) {
  list[0].setKey(key);
  list[0].setValue(value);
}

// OCI: process.user.additionalGids
TEST_F(ContainerSettingsTest, GivesFurtherGroups) {
  auto outcome = shAs("id -G", [](Process p) {
    p.setUser("app");
    setTexts(p.initAdditionalGroups(3), {"extra", "77", "2000"});
  });
  EXPECT_STREQ(outcome.output.cStr(), "1000 77 2000\n") << outcome.error.cStr();
  for (auto group : {"nobody-here", "99999999999", ""}) {
    EXPECT_EQ(codeAs([&](Process p) { setTexts(p.initAdditionalGroups(1), {group}); }),
              FailureCode::INVALID)
        << group;
  }
}

// OCI: process.rlimits
TEST_F(ContainerSettingsTest, SetsResourceLimits) {
  auto limit = [](Process p, kj::StringPtr name, uint64_t soft, uint64_t hard) {
    auto each = p.initLimits(1)[0];
    each.setName(name);
    each.setSoft(soft);
    each.setHard(hard);
  };
  auto lowest =
      shAs("ulimit -n; ulimit -Hn; ulimit -c", [&](Process p) { limit(p, "RLIMIT_NOFILE", 5, 9); });
  EXPECT_STREQ(lowest.output.cStr(), "5\n9\n0\n") << lowest.error.cStr();
  auto time = shAs("while :; do :; done", [&](Process p) { limit(p, "cpu", 1, 1); });
  EXPECT_EQ(time.signal, SIGKILL) << "a limit that does not bite";
  EXPECT_EQ(codeAs([&](Process p) { limit(p, "nofile", 9, 5); }), FailureCode::INVALID);
  EXPECT_EQ(codeAs([&](Process p) { limit(p, "patience", 1, 1); }), FailureCode::INVALID);
  EXPECT_EQ(codeAs([&](Process p) {
              for (auto each : p.initLimits(2)) each.setName("nofile");
            }),
            FailureCode::INVALID);
}

// OCI: process.oomScoreAdj
TEST_F(ContainerSettingsTest, SetsTheMemoryScore) {
  EXPECT_STREQ(client.sh("cat /proc/self/oom_score_adj").output.cStr(), "0\n");
  auto outcome = shAs("cat /proc/self/oom_score_adj", [](Process p) { p.setOomScoreAdjust(500); });
  EXPECT_STREQ(outcome.output.cStr(), "500\n");
  EXPECT_EQ(codeAs([](Process p) { p.setOomScoreAdjust(1001); }), FailureCode::INVALID);
}

// OCI: process.capabilities
TEST_F(ContainerSettingsTest, AmbientCapabilitiesReachOrdinaryUsers) {
  auto outcome = shAs("grep -E 'Cap(Eff|Bnd|Amb)' /proc/self/status", [](Process p) {
    p.setUser("app");
    auto capabilities = p.initCapabilities();
    setTexts(capabilities.initDrop(1), {"ALL"});
    setTexts(capabilities.initAdd(1), {"CHOWN"});
    setTexts(capabilities.initAmbient(1), {"NET_BIND_SERVICE"});
  });
  EXPECT_STREQ(outcome.output.cStr(),
               "CapEff:\t0000000000000400\nCapBnd:\t0000000000000401\n"
               "CapAmb:\t0000000000000400\n")
      << outcome.error.cStr();
  EXPECT_EQ(codeAs([](Process p) { setTexts(p.initCapabilities().initAmbient(1), {"FLY"}); }),
            FailureCode::INVALID);
}

// OCI: process.noNewPrivileges
TEST_F(ContainerSettingsTest, LetsPrivilegesBeGainedWhereThatIsWanted) {
  auto outcome = shAs("grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status", [](Process p) {
    p.setUser("app");
    p.setPrivileges(schema::ProcessSpec::Privileges::GAINABLE);
  });
  EXPECT_STREQ(outcome.output.cStr(), "NoNewPrivs:\t0\nSeccomp:\t2\n") << outcome.error.cStr();
}

// OCI: process.apparmorProfile
TEST_F(ContainerSettingsTest, SaysWhereAppArmorIsMissing) {
  bool there = access("/proc/self/attr/apparmor/exec", F_OK) == 0;
  EXPECT_EQ(codeAs([](Process p) { p.setAppArmorProfile("no-such-profile"); }),
            there ? FailureCode::INVALID : FailureCode::UNSUPPORTED);
}

TEST_F(ContainerSettingsTest, EndsProcessesThatRunForTooLong) {
  auto workload = client.create(words({"sleep", "1000"}));
  auto main = client.start(workload);
  auto started =
      client.startExec(workload, "setsid sleep 2000 & (sleep 3000 &); echo up; sleep 4000",
                       [](Process p) { p.setTimeoutMilliseconds(300); });
  auto status = started.process.waitRequest().send().wait(ws);
  EXPECT_EQ(status.getStatus().getSignal(), SIGKILL);
  EXPECT_STREQ(status.getStatus().getReason().cStr(), "killed since it ran for longer than 300ms");
  EXPECT_STREQ(started.output->text().cStr(), "up\n");
  // All that it started, and nothing else.
  EXPECT_STREQ(client.exec(workload, "ps | grep -o '[s]leep .*'").output.cStr(), "sleep 1000\n");
  auto quick = client.exec(workload, "exit 3", [](Process p) { p.setTimeoutMilliseconds(60'000); });
  EXPECT_EQ(quick.code, 3);
  workload.destroyRequest().send().wait(ws);
  EXPECT_EQ(client.finish(main).signal, SIGKILL);

  auto outcome = shAs("sleep 1000", [](Process p) { p.setTimeoutMilliseconds(100); });
  EXPECT_EQ(outcome.signal, SIGKILL);
}

// OCI: mounts (tmpfs)
TEST_F(ContainerSettingsTest, MountsMemory) {
  auto outcome = shWith(
      "df -k /made/here | tail -1 | awk '{print $2}'; stat -c %a /made/here; cp /bin/busybox "
      "/made/here/true; /made/here/true; grep -o '/made/here tmpfs rw,[a-z,]*noexec' /proc/mounts",
      [](Settings s) {
        auto mount = oneMount(s, "/made/here");
        mount.initMemory().setBytes(4 << 20);
        mount.getMemory().setMode(0750);
        mount.setNoExecution(true);
        mount.setNoSetUserId(true);
        mount.setNoDevices(true);
      });
  EXPECT_STREQ(outcome.output.cStr(), "4096\n750\n/made/here tmpfs rw,nosuid,nodev,noexec\n")
      << outcome.error.cStr();
  EXPECT_NE(strstr(outcome.error.cStr(), "Permission denied"), nullptr);
}

// OCI: mounts (bind)
TEST_F(ContainerSettingsTest, MountsPathsOfTheZone) {
  auto outcome =
      shWith("ls /zone; touch /zone/x; test -s /file && echo file; echo y > /writable/left",
             [](Settings s) {
               auto mounts = s.initMounts(3);
               mounts[0].setDestination("/zone");
               mounts[0].setZonePath("/bin");
               mounts[0].setWriting(schema::Mount::Writing::DENIED);
               mounts[1].setDestination("/file");
               mounts[1].setZonePath("/bin/zone");
               mounts[2].setDestination("/writable");
               mounts[2].setZonePath("/tmp");
             });
  EXPECT_STREQ(outcome.output.cStr(), "zone\nfile\n") << outcome.error.cStr();
  EXPECT_NE(strstr(outcome.error.cStr(), "/zone/x: Read-only"), nullptr) << outcome.error.cStr();
  auto kept = shWith("cat /again/left; rm /again/left",
                     [](Settings s) { oneMount(s, "/again").setZonePath("/tmp"); });
  EXPECT_STREQ(kept.output.cStr(), "y\n");
  EXPECT_EQ(codeWith([](Settings s) { oneMount(s, "/x").setZonePath("/no/such/path"); }),
            FailureCode::NOT_FOUND);
}

// OCI: mounts (rro)
TEST_F(ContainerSettingsTest, MakesMountsBelowReadOnlyAsWell) {
  auto touch = [&](schema::Mount::Writing writing) {
    return shWith("touch /zone/shm/x && rm /zone/shm/x",
                  [&](Settings s) {
                    auto mount = oneMount(s, "/zone");
                    mount.setZonePath("/dev");
                    mount.setDepth(schema::Mount::Depth::WITH_MOUNTS_BELOW);
                    mount.setWriting(writing);
                  })
        .code;
  };
  EXPECT_EQ(touch(schema::Mount::Writing::DENIED), 0);
  EXPECT_EQ(touch(schema::Mount::Writing::DENIED_BELOW), 1);
}

TEST_F(ContainerSettingsTest, MountsDisks) {
  auto outcome = shWith("cat /disk/notexec; touch /disk/x", [&](Settings s) {
    auto mount = oneMount(s, "/disk");
    mount.setDisk(shared->image.disk());
    mount.setWriting(schema::Mount::Writing::DENIED);
  });
  EXPECT_STREQ(outcome.output.cStr(), "data\n");
  EXPECT_NE(strstr(outcome.error.cStr(), "Read-only"), nullptr);
  EXPECT_EQ(codeWith([](Settings s) { oneMount(s, "/disk").setDisk("nosuch"); }),
            FailureCode::NOT_FOUND);
  EXPECT_EQ(codeWith([](Settings s) { oneMount(s, "/disk").setDisk("../etc"); }),
            FailureCode::INVALID);
  EXPECT_EQ(codeWith([](Settings s) { oneMount(s, "/disk").setDisk("null"); }),
            FailureCode::INVALID);
}

// OCI: mounts (proc, sysfs, cgroup, mqueue, devpts)
TEST_F(ContainerSettingsTest, MountsTheKernelsFileSystems) {
  auto outcome = shWith(
      "cat /a/self/comm; test -d /b/kernel && echo sys; test -e /c/cgroup.procs "
      "&& echo groups; test -c /d/ptmx && echo terminals",
      [](Settings s) {
        auto mounts = s.initMounts(4);
        kj::StringPtr types[] = {"proc", "sysfs", "cgroup2", "devpts"};
        for (uint i = 0; i < 4; ++i) {
          mounts[i].setDestination(kj::str("/", static_cast<char>('a' + i)));
          mounts[i].setKernel(types[i]);
        }
      });
  EXPECT_STREQ(outcome.output.cStr(), "cat\nsys\ngroups\nterminals\n") << outcome.error.cStr();
  for (auto type : {"xenfs", "debugfs", "ext4", "overlay", ""}) {
    EXPECT_EQ(codeWith([&](Settings s) { oneMount(s, "/x").setKernel(type); }),
              FailureCode::INVALID)
        << type;
  }
}

TEST_F(ContainerSettingsTest, MountsStayInTheContainer) {
  for (auto path : {"relative", "/a/../../x", "/.."}) {
    EXPECT_EQ(codeWith([&](Settings s) { oneMount(s, path).initMemory(); }), FailureCode::INVALID)
        << path;
  }
  // A link of the image's, over which the mount is made in its place.
  auto outcome = shWith("touch /srv/magic/inside && test ! -L /srv/magic && echo mounted",
                        [](Settings s) { oneMount(s, "/srv/magic").initMemory(); });
  EXPECT_STREQ(outcome.output.cStr(), "mounted\n") << outcome.error.cStr();
  EXPECT_EQ(codeWith([](Settings s) { oneMount(s, "/srv/magic/below").initMemory(); }),
            FailureCode::INVALID);
}

// OCI: linux.rootfsPropagation
TEST_F(ContainerSettingsTest, SetsPropagation) {
  auto of = [&](schema::Propagation propagation) {
    return shWith("awk '$5 == \"/\" || $5 == \"/m\" {print $5, $7}' /proc/self/mountinfo",
                  [&](Settings s) {
                    s.setRootPropagation(propagation);
                    auto mount = oneMount(s, "/m");
                    mount.initMemory();
                    mount.setPropagation(propagation);
                  })
        .output;
  };
  EXPECT_STREQ(of(schema::Propagation::PRIVATE).cStr(), "/ -\n/m -\n");
  auto shared = of(schema::Propagation::SHARED);
  EXPECT_TRUE(shared.startsWith("/ shared:")) << shared.cStr();
  EXPECT_NE(strstr(shared.cStr(), "/m shared:"), nullptr) << shared.cStr();
  auto unbindable = of(schema::Propagation::UNBINDABLE);
  EXPECT_STREQ(unbindable.cStr(), "/ unbindable\n/m unbindable\n");
}

// OCI: linux.maskedPaths, linux.readonlyPaths
TEST_F(ContainerSettingsTest, MasksAndProtectsPaths) {
  kj::StringPtr look =
      "wc -c < /notexec; ls /srv | wc -l; touch /etc/x; touch /proc/sys/kernel/x; "
      "mount | grep -c /proc/"_kj;
  auto outcome = shWith(look, [](Settings s) {
    setTexts(s.initMaskedPaths(3), {"/notexec", "/srv", "/not/there"});
    setTexts(s.initReadOnlyPaths(2), {"/etc", "/not/there"});
  });
  EXPECT_TRUE(outcome.output.startsWith("0\n0\n")) << outcome.output.cStr();
  EXPECT_NE(strstr(outcome.error.cStr(), "/etc/x: Read-only"), nullptr) << outcome.error.cStr();
  auto open = shWith("grep -c ' /proc/' /proc/mounts", [](Settings s) {
    s.setPathDefaults(schema::ContainerSettings::PathDefaults::DROPPED);
  });
  EXPECT_STREQ(open.output.cStr(), "0\n");
  // What is mounted below stays to be seen, and is read-only as well.
  auto below = shWith("test -c /dev/pts/ptmx && echo there; touch /dev/shm/x || echo protected",
                      [](Settings s) { setTexts(s.initReadOnlyPaths(1), {"/dev"}); });
  EXPECT_STREQ(below.output.cStr(), "there\nprotected\n") << below.error.cStr();
  for (auto path : {"proc", "/", "//", "/./"}) {
    EXPECT_EQ(codeWith([&](Settings s) { setTexts(s.initMaskedPaths(1), {path}); }),
              FailureCode::INVALID)
        << path;
  }
}

TEST_F(ContainerSettingsTest, PrivilegedContainersHaveTheZoneToThemselves) {
  auto outcome = shWith(
      "grep -E '^(CapEff|Seccomp):' /proc/self/status; mount -t tmpfs none /mnt 2>/dev/null || "
      "mkdir /m && mount -t tmpfs none /m && echo mounted; test -c /dev/kmsg && echo devices; "
      "mkdir /sys/fs/cgroup/part && echo parts; grep -c ' /proc/' /proc/mounts",
      [](Settings s) { s.setConfinement(schema::ContainerSettings::Confinement::PRIVILEGED); });
  // What the tests themselves run with bounds what may be had.
  EXPECT_NE(strstr(outcome.output.cStr(), "Seccomp:\t0\n"), nullptr) << outcome.output.cStr();
  EXPECT_NE(strstr(outcome.output.cStr(), "mounted\ndevices\nparts\n0\n"), nullptr)
      << outcome.output.cStr() << outcome.error.cStr();
  EXPECT_STREQ(client.sh("grep Seccomp: /proc/self/status").output.cStr(), "Seccomp:\t2\n");
}

// Names that begin with a dot are legal, and nothing waits for parts that are empty.
TEST_F(ContainerSettingsTest, PartsOfAPrivilegedContainersCgroupGoWithIt) {
  auto make = [](Spec spec) {
    spec.setId("parts");
    spec.initSettings().setConfinement(schema::ContainerSettings::Confinement::PRIVILEGED);
  };
  for (int i = 0; i < 2; ++i) {
    auto outcome = client.sh(
        "cd /sys/fs/cgroup && mkdir -p a/.b/c .d && for i in 1 2 3 4 5 6 7 8; do mkdir e$i/ "
        "e$i/.f; done && echo made",
        make);
    EXPECT_STREQ(outcome.output.cStr(), "made\n") << outcome.error.cStr();
  }
  EXPECT_NE(system(kj::str("test -e ", shared->zone.cgroup(), "/workloads/parts").cStr()), 0);
}

// OCI: linux.devices, linux.resources.devices
TEST_F(ContainerSettingsTest, GivesTheNamedDevices) {
  struct stat disk{};
  ASSERT_EQ(stat(kj::str("/dev/", shared->image.disk()).cStr(), &disk), 0);
  auto device = [&](Settings s, kj::StringPtr path, kj::StringPtr access) {
    auto each = s.initDevices(1)[0];
    each.setType(schema::Device::Type::BLOCK);
    each.setPath(path);
    each.setMajor(major(disk.st_rdev));
    each.setMinor(minor(disk.st_rdev));
    each.setAccess(access);
    each.setMode(0640);
    each.setUser(3);
    each.setGroup(4);
  };
  auto look =
      "ls -ln /dev/folder/disk | awk '{print $1, $3, $4}'; head -c 4 /dev/folder/disk; "
      "echo >> /dev/folder/disk"_kj;
  auto both = shWith(look, [&](Settings s) { device(s, "/dev/folder/disk", "rw"); });
  EXPECT_STREQ(both.output.cStr(), "brw-r----- 3 4\nhsqs") << both.error.cStr();
  // Opened, though the device itself takes no bytes.
  EXPECT_EQ(strstr(both.error.cStr(), "can't create"), nullptr) << both.error.cStr();
  auto one = shWith(look, [&](Settings s) { device(s, "/dev/folder/disk", "r"); });
  EXPECT_STREQ(one.output.cStr(), "brw-r----- 3 4\nhsqs") << one.error.cStr();
  EXPECT_NE(strstr(one.error.cStr(), "can't create"), nullptr) << one.error.cStr();
  auto other = shWith(look, [&](Settings s) { device(s, "/dev/folder/disk", "w"); });
  EXPECT_STREQ(other.output.cStr(), "brw-r----- 3 4\n") << other.error.cStr();
  for (auto path : {"/etc/x", "/dev/", "/dev/../x", "dev/x", "/dev/fd/3/x", "/dev/pts/x",
                    "/dev/ptmx", "/dev/console"}) {
    EXPECT_EQ(codeWith([&](Settings s) { device(s, path, "rw"); }), FailureCode::INVALID) << path;
  }
  EXPECT_EQ(codeWith([&](Settings s) { device(s, "/dev/x", "rx"); }), FailureCode::INVALID);
  EXPECT_EQ(codeWith([&](Settings s) {
              device(s, "/dev/x", "r");
              s.getDevices()[0].setMajor(4096);
            }),
            FailureCode::INVALID);
}

// OCI: linux.sysctl
TEST_F(ContainerSettingsTest, WritesItsOwnKernelSettings) {
  auto run = [&](kj::StringPtr key, kj::StringPtr value, kj::StringPtr line) {
    return client.sh(line, [&](Spec spec) {
      spec.setNetworkMode(schema::WorkloadSpec::NetworkMode::NONE);
      set(spec.initSettings().initSysctls(1), key, value);
    });
  };
  EXPECT_STREQ(run("kernel.msgmax", "5000", "cat /proc/sys/kernel/msgmax").output.cStr(), "5000\n");
  for (auto key : {"net.ipv4.conf.lo.rp_filter", "net/ipv4/conf/lo/rp_filter"}) {
    EXPECT_STREQ(run(key, "2", "cat /proc/sys/net/ipv4/conf/lo/rp_filter").output.cStr(), "2\n");
  }
  for (auto key : {"kernel.core_pattern", "vm.overcommit_memory", "net/../kernel/core_pattern",
                   "net.no.such", "", "fs.file-max"}) {
    EXPECT_EQ(failureFrom([&]() { run(key, "1", "true"); }).code, FailureCode::INVALID) << key;
  }
  // The zone's network is this container's as well; the rest of the zone's kernel is not.
  auto inZone = [&](kj::StringPtr key, kj::StringPtr line) {
    return shWith(line, [&](Settings s) { set(s.initSysctls(1), key, "2"); });
  };
  EXPECT_STREQ(inZone("net.ipv4.conf.lo.rp_filter", "cat /proc/sys/net/ipv4/conf/lo/rp_filter")
                   .output.cStr(),
               "2\n");
  EXPECT_EQ(failureFrom([&]() { inZone("net.core.bpf_jit_harden", "true"); }).code,
            FailureCode::INVALID);
  EXPECT_EQ(codeWith([](Settings s) {
              set(s.initSysctls(1), "kernel.msgmax", "5000");
              auto choice = s.initNamespaces(1)[0];
              choice.setKind(schema::NamespaceChoice::Kind::IPC);
              choice.setZone();
            }),
            FailureCode::INVALID);
  auto refused = failureFrom([&]() { run("kernel.msgmax", "nonsense", "true"); });
  EXPECT_EQ(refused.code, FailureCode::INVALID);
  EXPECT_NE(strstr(refused.message.cStr(), "kernel/msgmax: Invalid argument"), nullptr)
      << refused.message.cStr();
}

// OCI: linux.resources.unified
TEST_F(ContainerSettingsTest, RefusesSettingsThatAreNoControllers) {
  for (auto key : {"cgroup.procs", "../cpu.max", "cpu.max/../../x", "", "memory"}) {
    EXPECT_EQ(codeWith([&](Settings s) { set(s.initCgroup(1), key, "1"); }), FailureCode::INVALID)
        << key;
  }
  EXPECT_EQ(codeWith([](Settings s) { set(s.initCgroup(1), "cpu.nonsense", "1"); }),
            FailureCode::UNSUPPORTED);
}

// OCI: linux.seccomp
TEST_F(ContainerSettingsTest, FiltersSystemCallsAsItIsTold) {
  auto line = "mkdir /made && echo made; grep Seccomp: /proc/self/status; echo $?"_kj;
  auto profile = [](Settings s, kj::StringPtr text) {
    s.getSystemCalls().setProfile(text.asBytes());
  };
  auto refused = shWith(line, [&](Settings s) {
    profile(s, R"({"defaultAction": "SCMP_ACT_ALLOW",
                   "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO",
                                 "errnoRet": 28}]})");
  });
  EXPECT_STREQ(refused.output.cStr(), "Seccomp:\t2\n0\n");
  EXPECT_NE(strstr(refused.error.cStr(), "No space left"), nullptr) << refused.error.cStr();
  auto open = shWith(line, [](Settings s) { s.getSystemCalls().setUnconfined(); });
  EXPECT_STREQ(open.output.cStr(), "made\nSeccomp:\t0\n0\n");
  // Whatever a filter refuses, the reason is told.
  auto strict = failureFrom([&]() {
    shWith("true", [&](Settings s) {
      profile(s, R"({"defaultAction": "SCMP_ACT_ERRNO",
                     "syscalls": [{"names": ["exit_group"], "action": "SCMP_ACT_ALLOW"}]})");
    });
  });
  EXPECT_EQ(strict.code, FailureCode::COMMAND_NOT_EXECUTABLE);
  EXPECT_NE(strstr(strict.message.cStr(), "executing the command"), nullptr)
      << strict.message.cStr();
  EXPECT_EQ(codeWith([&](Settings s) { profile(s, "{"); }), FailureCode::INVALID);
  EXPECT_EQ(codeWith([&](Settings s) { profile(s, R"({"defaultAction": "SCMP_ACT_NOTIFY"})"); }),
            FailureCode::UNSUPPORTED);
  // Loaded while the process still has the right to; the calls that take it away are let through.
  auto gainable = client.sh("grep -E 'NoNewPrivs|Seccomp:' /proc/self/status", [&](Spec spec) {
    profile(spec.initSettings(), R"({"defaultAction": "SCMP_ACT_ALLOW"})");
    spec.getProcess().setPrivileges(schema::ProcessSpec::Privileges::GAINABLE);
  });
  EXPECT_STREQ(gainable.output.cStr(), "NoNewPrivs:\t0\nSeccomp:\t2\n");
}

TEST_F(ContainerSettingsTest, SizesSharedMemoryAndNamesTheDomain) {
  auto outcome =
      shWith("df -k /dev/shm | tail -1 | awk '{print $2}'; cat /proc/sys/kernel/domainname",
             [](Settings s) {
               s.setSharedMemoryBytes(8 << 20);
               s.setDomainName("inside.example");
             });
  EXPECT_STREQ(outcome.output.cStr(), "8192\ninside.example\n");
  EXPECT_STREQ(client.sh("df -k /dev/shm | tail -1 | awk '{print $2}'").output.cStr(), "65536\n");
}

TEST_F(ContainerSettingsTest, LimitsWhatIsListed) {
  EXPECT_EQ(codeWith([](Settings s) {
              for (auto mount : s.initMounts(65)) mount.setDestination("/x");
            }),
            FailureCode::INVALID);
  EXPECT_EQ(codeWith([](Settings s) { s.initSysctls(65); }), FailureCode::INVALID);
  EXPECT_EQ(codeWith([](Settings s) { s.initCgroup(65); }), FailureCode::INVALID);
  EXPECT_EQ(codeWith([](Settings s) { s.initDevices(65); }), FailureCode::INVALID);
  EXPECT_EQ(codeWith([](Settings s) { s.initMaskedPaths(257); }), FailureCode::INVALID);
  EXPECT_EQ(codeWith([](Settings s) { s.initReadOnlyPaths(257); }), FailureCode::INVALID);
  EXPECT_EQ(codeWith([](Settings s) {
              auto profile = s.getSystemCalls().initProfile((256 << 10) + 1);
              memset(profile.begin(), ' ', profile.size());
            }),
            FailureCode::INVALID);
  EXPECT_EQ(codeAs([](Process p) { p.initAdditionalGroups(65); }), FailureCode::INVALID);
  EXPECT_EQ(codeAs([](Process p) { p.initLimits(17); }), FailureCode::INVALID);
}

}  // namespace
}  // namespace bulkhead::zone
