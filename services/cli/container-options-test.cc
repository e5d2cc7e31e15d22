// SPDX-License-Identifier: Apache-2.0
#include "services/cli/container-options.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <fstream>

#include <capnp/message.h>

#include "services/cli/time-text.h"
#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

// What the options given make of a specification.
class ContainerOptionsTest : public testing::Test {
 protected:
  ~ContainerOptionsTest() noexcept override {}

  schema::ZoneSpec::Reader filled(std::vector<std::string> words) {
    CLI::App app;
    ContainerOptions options;
    addContainerOptions(app, options);
    std::reverse(words.begin(), words.end());
    app.parse(words);
    auto spec = message.initRoot<schema::ZoneSpec>();
    spec.initProcess();
    fillContainer(spec, options);
    return spec.asReader();
  }

  // The option that the failure names.
  std::string refused(std::vector<std::string> words) {
    try {
      filled(words);
    } catch (...) {
      auto failure = failureOf(kj::getCaughtExceptionAsKj());
      if (failure.code != FailureCode::INVALID) return "another failure";
      EXPECT_GT(failure.hint.size(), 0u) << words.back();
      return failure.subject.cStr();
    }
    return "nothing";
  }

  capnp::MallocMessageBuilder message;
};

TEST_F(ContainerOptionsTest, NothingGivenIsAllAsUsual) {
  auto spec = filled({});
  EXPECT_EQ(spec.getContainer().totalSize().capCount, 0u);
  EXPECT_EQ(spec.getContainer().getMounts().size(), 0u);
  EXPECT_EQ(spec.getContainer().getNamespaces().size(), 0u);
  EXPECT_TRUE(spec.getContainer().getSystemCalls().isStandard());
  EXPECT_EQ(spec.getProcess().getTimeoutMilliseconds(), 0u);
}

TEST_F(ContainerOptionsTest, Authority) {
  auto process = filled({"--cap-add",       "CAP_NET_ADMIN",
                         "--cap-add",       "sys_time",
                         "--cap-drop",      "all",
                         "--cap-ambient",   "NET_RAW",
                         "--group-add",     "tty",
                         "--ulimit",        "nofile=1024:4096",
                         "--ulimit",        "core=unlimited",
                         "--oom-score-adj", "-7",
                         "--timeout",       "1m30s",
                         "--security-opt",  "no-new-privileges=false",
                         "--security-opt",  "apparmor=web"})
                     .getProcess();
  EXPECT_STREQ(process.getCapabilities().getAdd()[0].cStr(), "NET_ADMIN");
  EXPECT_STREQ(process.getCapabilities().getAdd()[1].cStr(), "SYS_TIME");
  EXPECT_STREQ(process.getCapabilities().getDrop()[0].cStr(), "ALL");
  EXPECT_STREQ(process.getCapabilities().getAmbient()[0].cStr(), "NET_RAW");
  EXPECT_STREQ(process.getAdditionalGroups()[0].cStr(), "tty");
  EXPECT_STREQ(process.getLimits()[0].getName().cStr(), "nofile");
  EXPECT_EQ(process.getLimits()[0].getSoft(), 1024u);
  EXPECT_EQ(process.getLimits()[0].getHard(), 4096u);
  EXPECT_EQ(process.getLimits()[1].getHard(), UINT64_MAX);
  EXPECT_EQ(process.getOomScoreAdjust(), -7);
  EXPECT_EQ(process.getTimeoutMilliseconds(), 90'000u);
  EXPECT_EQ(process.getPrivileges(), schema::ProcessSpec::Privileges::GAINABLE);
  EXPECT_STREQ(process.getAppArmorProfile().cStr(), "web");
}

TEST_F(ContainerOptionsTest, MemoryMountsAreInertUnlessToldOtherwise) {
  auto mounts = filled({"--tmpfs", "/run", "--tmpfs", "/x:size=64M,mode=0700,ro,exec,suid,dev"})
                    .getContainer()
                    .getMounts();
  ASSERT_EQ(mounts.size(), 2u);
  EXPECT_STREQ(mounts[0].getDestination().cStr(), "/run");
  EXPECT_EQ(mounts[0].getMemory().getBytes(), 0u);
  EXPECT_TRUE(mounts[0].getNoExecution() && mounts[0].getNoDevices() && mounts[0].getNoSetUserId());
  EXPECT_EQ(mounts[1].getMemory().getBytes(), 64u << 20);
  EXPECT_EQ(mounts[1].getMemory().getMode(), 0700);
  EXPECT_EQ(mounts[1].getWriting(), schema::Mount::Writing::DENIED);
  EXPECT_FALSE(mounts[1].getNoExecution() || mounts[1].getNoDevices() ||
               mounts[1].getNoSetUserId());
}

TEST_F(ContainerOptionsTest, NamespacesAndUsers) {
  auto container = filled({"--namespace", "pid=zone", "--namespace", "user=own"}).getContainer();
  EXPECT_EQ(container.getNamespaces()[0].getKind(), schema::NamespaceChoice::Kind::PROCESS);
  EXPECT_TRUE(container.getNamespaces()[0].isZone());
  EXPECT_TRUE(container.getNamespaces()[1].isOwn());
  EXPECT_EQ(container.getUserMappings()[0].getOutside(), 100'000u);
  EXPECT_EQ(container.getGroupMappings()[0].getCount(), 65'536u);
  auto mapped =
      filled({"--namespace", "user=own", "--uidmap", "1:2:3", "--gidmap", "4:5:6"}).getContainer();
  EXPECT_EQ(mapped.getUserMappings()[0].getInside(), 1u);
  EXPECT_EQ(mapped.getUserMappings()[0].getOutside(), 2u);
  EXPECT_EQ(mapped.getGroupMappings()[0].getCount(), 6u);
}

TEST_F(ContainerOptionsTest, DevicesAreThoseOfThisHostsNodes) {
  auto devices = filled({"--device", "/dev/null:/dev/hole:r", "--device", "/dev/zero:w"})
                     .getContainer()
                     .getDevices();
  EXPECT_STREQ(devices[0].getPath().cStr(), "/dev/hole");
  EXPECT_STREQ(devices[0].getAccess().cStr(), "r");
  EXPECT_EQ(devices[0].getMajor(), 1u);
  EXPECT_EQ(devices[0].getMinor(), 3u);
  EXPECT_EQ(devices[0].getType(), schema::Device::Type::CHARACTER);
  EXPECT_STREQ(devices[1].getPath().cStr(), "/dev/zero");
  EXPECT_STREQ(devices[1].getAccess().cStr(), "w");
}

TEST_F(ContainerOptionsTest, TheRest) {
  auto spec = filled({"--sysctl", "net.ipv4.ip_forward=1", "--cgroup", "cpu.max=1 2",
                      "--pids-limit", "7", "--shm-size", "1G", "--domainname", "d", "--stop-signal",
                      "SIGINT", "--privileged", "--security-opt", "mask=/a:/b", "--security-opt",
                      "unmask=ALL", "--security-opt", "seccomp=unconfined"});
  auto container = spec.getContainer();
  EXPECT_STREQ(container.getSysctls()[0].getValue().cStr(), "1");
  EXPECT_STREQ(container.getCgroup()[0].getValue().cStr(), "1 2");
  EXPECT_STREQ(container.getCgroup()[1].getKey().cStr(), "pids.max");
  EXPECT_EQ(container.getSharedMemoryBytes(), 1u << 30);
  EXPECT_STREQ(spec.getStopSignal().cStr(), "SIGINT");
  EXPECT_EQ(container.getConfinement(), schema::ContainerSettings::Confinement::PRIVILEGED);
  EXPECT_STREQ(container.getMaskedPaths()[1].cStr(), "/b");
  EXPECT_EQ(container.getPathDefaults(), schema::ContainerSettings::PathDefaults::DROPPED);
  EXPECT_TRUE(container.getSystemCalls().isUnconfined());
}

TEST_F(ContainerOptionsTest, ReadsSystemCallProfiles) {
  char path[] = "/tmp/bulkhead-profile-XXXXXX";
  int raw = mkstemp(path);
  ASSERT_GE(raw, 0);
  close(raw);
  std::ofstream(path) << "{}";
  auto option = std::string("seccomp=") + path;
  auto profile = filled({"--security-opt", option}).getContainer().getSystemCalls().getProfile();
  EXPECT_EQ(profile.size(), 2u);
  std::ofstream(path) << std::string((256 << 10) + 1, ' ');
  EXPECT_THROW(filled({"--security-opt", option}), kj::Exception);
  unlink(path);
  EXPECT_EQ(refused({"--security-opt", option}), "another failure");
}

TEST_F(ContainerOptionsTest, RefusesWhatItDoesNotUnderstand) {
  for (auto text : {"nofile", "nofile=", "nofile=x", "nofile=1:2x"}) {
    EXPECT_EQ(refused({"--ulimit", text}), "--ulimit") << text;
  }
  for (auto text : {"/x:size=1T", "/x:mode=9", "/x:mode=77777", "/x:what"}) {
    EXPECT_EQ(refused({"--tmpfs", text}), "--tmpfs") << text;
  }
  for (auto text : {"pid", "pid=host", "mnt=own"}) {
    EXPECT_EQ(refused({"--namespace", text}), "--namespace") << text;
  }
  for (auto text : {"1:2", "1:2:3:4", "a:2:3", "-1:2:3"}) {
    EXPECT_EQ(refused({"--uidmap", text}), "--uidmap") << text;
  }
  for (auto text : {"/etc/passwd", "/no/such", "/dev/null:/a:rw:x", "/dev/null:r:/a",
                    "/dev/null:/a:/b", "/dev/null:x"}) {
    EXPECT_EQ(refused({"--device", text}), "--device") << text;
  }
  for (auto text : {"0", "10x", "m", "50d", "99999999999999999999s"}) {
    EXPECT_EQ(refused({"--timeout", text}), "--timeout") << text;
  }
  EXPECT_EQ(refused({"--sysctl", "net.ipv4.ip_forward"}), "--sysctl");
  EXPECT_EQ(refused({"--cgroup", "cpu.max"}), "--cgroup");
  EXPECT_EQ(refused({"--oom-score-adj", "1001"}), "--oom-score-adj");
  EXPECT_EQ(refused({"--shm-size", "-1"}), "--shm-size");
  EXPECT_EQ(refused({"--security-opt", "label=disable"}), "--security-opt");
}

TEST(Durations, UnitsAddUp) {
  EXPECT_EQ(durationOf("90", "-"), 90 * kj::SECONDS);
  EXPECT_EQ(durationOf("1h30m", "-"), 90 * kj::MINUTES);
  EXPECT_EQ(durationOf("250ms", "-"), 250 * kj::MILLISECONDS);
  EXPECT_EQ(durationOf("2d", "-"), 48 * kj::HOURS);
}

}  // namespace
}  // namespace bulkhead
