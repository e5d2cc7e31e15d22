// SPDX-License-Identifier: Apache-2.0
//
// Containers from bundles of the OCI runtime specification: what config.json says, seen from
// inside.
#include <signal.h>
#include <stdlib.h>

#include <fstream>

#include "zoneinit/testing/agent-fixture.h"

namespace bulkhead::zone {
namespace {

// A configuration as `runc spec` and container engines write them, in parts that tests replace.
struct Config {
  std::string process;  // further members, each with a comma behind it
  std::string top;      // likewise
  std::string section;  // of "linux"
  std::string args = R"(["sh", "-c", "true"])";
  std::string mounts = R"(
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
     "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
    {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
     "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
    {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
     "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=8192k"]},
    {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
     "options": ["nosuid", "noexec", "nodev"]},
    {"destination": "/sys", "type": "sysfs", "source": "sysfs",
     "options": ["nosuid", "noexec", "nodev", "ro"]},
    {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
     "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]})";
  std::string root = R"({"path": "rootfs", "readonly": true})";
  std::string namespaces =
      R"({"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"},
         {"type": "mount"}, {"type": "cgroup"})";

  std::string text() const {
    return R"({"ociVersion": "1.2.0", "annotations": {"org.example.x": "y"}, )" + top +
           R"("root": )" + root + R"(, "process": {)" + process +
           R"("cwd": "/", "env": ["PATH=/bin"], "args": )" + args + R"(}, "mounts": [)" + mounts +
           R"(], "linux": {)" + section + R"("cgroupsPath": "/somewhere", "namespaces": [)" +
           namespaces + "]}}";
  }
};

std::string shell(const std::string& line) { return R"(["sh", "-c", ")" + line + R"("])"; }

class OciBundleTest : public ZoneAgentTest {
 public:
  static void SetUpTestSuite() {
    ZoneAgentTest::SetUpTestSuite();
    ASSERT_EQ(system(kj::str("mkdir ", shared->folder, "/root/bundle && cp -a ", shared->folder,
                             "/image ", shared->folder, "/root/bundle/rootfs && mkdir ",
                             shared->folder, "/root/bundle/data && echo bound > ", shared->folder,
                             "/root/bundle/data/file")
                         .cStr()),
              0);
  }

 protected:
  ~OciBundleTest() noexcept override {}

  schema::Workload::Client create(const Config& config) {
    auto request = client.agent.createFromBundleRequest();
    request.setId("bundle");
    auto text = config.text();
    request.setConfig(kj::StringPtr(text.c_str()).asBytes());
    request.setBundle("/bundle");
    return request.send().wait(ws).getWorkload();
  }

  Outcome run(const Config& config) {
    auto workload = create(config);
    KJ_DEFER(workload.destroyRequest().send().wait(ws));
    auto started = client.start(workload);
    return client.finish(started);
  }

  std::string output(const Config& config) {
    auto outcome = run(config);
    EXPECT_STREQ(outcome.error.cStr(), "");
    return outcome.output.cStr();
  }

  // The failure's code and what it says.
  std::pair<FailureCode, std::string> refused(const Config& config) {
    auto failure = failureFrom([&]() { run(config); });
    return {failure.code, failure.message.cStr()};
  }
};

// OCI: root
TEST_F(OciBundleTest, RunsInItsRoot) {
  Config config;
  config.args = shell("cat /notexec; touch /x || echo kept; hostname; cat /proc/1/comm; true");
  config.top = R"("hostname": "boxed", )";
  auto outcome = run(config);
  EXPECT_STREQ(outcome.output.cStr(), "data\nkept\nboxed\nsh\n") << outcome.error.cStr();
  config.root = R"({"path": "/bundle/rootfs"})";
  config.args = shell("echo new > /notexec; cat /notexec");
  EXPECT_EQ(output(config), "new\n");
  config.args = shell("cat /notexec");
  EXPECT_EQ(output(config), "data\n") << "the bundle's own file was written";
  config.root = R"({"path": "no-such"})";
  EXPECT_EQ(refused(config).first, FailureCode::NOT_FOUND);
}

// OCI: process, process.user, process.user.umask
TEST_F(OciBundleTest, SetsUpItsProcess) {
  Config config;
  config.args = shell(
      "pwd; id -u; id -g; id -G; umask; echo $GREETING; ulimit -n; "
      "cat /proc/self/oom_score_adj; grep -E 'NoNewPrivs|CapBnd' /proc/self/status");
  config.process = R"("user": {"uid": 7, "gid": 8, "umask": 63, "additionalGids": [9, 10]},
      "noNewPrivileges": true, "oomScoreAdj": 321,
      "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 88}],
      "capabilities": {"bounding": ["CAP_KILL", "CAP_CHOWN"], "effective": ["CAP_KILL"]}, )";
  EXPECT_EQ(run(config).output,
            "/\n7\n8\n8 9 10\n0077\n\n77\n321\nCapBnd:\t0000000000000021\nNoNewPrivs:\t1\n"_kj);
  config.process = "";
  config.args = shell("grep -E 'NoNewPrivs|CapEff' /proc/self/status; exit 3");
  auto bare = run(config);
  EXPECT_STREQ(bare.output.cStr(), "CapEff:\t0000000000000000\nNoNewPrivs:\t0\n");
  EXPECT_EQ(bare.code, 3);
}

// OCI: process.terminal, process.consoleSize
TEST_F(OciBundleTest, GivesATerminal) {
  Config config;
  config.args = shell("stty size; tty");
  config.process = R"("terminal": true, "consoleSize": {"height": 30, "width": 90}, )";
  EXPECT_EQ(output(config), "30 90\r\n/dev/pts/0\r\n");
}

// OCI: mounts, mounts (uidMappings)
TEST_F(OciBundleTest, MakesItsMounts) {
  Config config;
  config.root = R"({"path": "rootfs"})";
  config.mounts += R"(, {"destination": "/data", "type": "bind", "source": "data",
                         "options": ["rbind", "ro", "rslave"]},
                        {"destination": "/memory", "type": "tmpfs", "source": "tmpfs",
                         "options": ["size=1m", "mode=0700", "noexec"]})";
  config.args = shell(
      "cat /data/file; touch /data/x 2>/dev/null || echo protected; "
      "df -k /memory | tail -1 | awk '{print $2}'; stat -c %a /memory; "
      "df -k /dev/shm | tail -1 | awk '{print $2}'; test -c /dev/ptmx && echo pts");
  EXPECT_EQ(output(config), "bound\nprotected\n1024\n700\n8192\npts\n");
  for (auto bad : {R"(, {"destination": "/proc", "type": "proc", "options": ["hidepid=2"]})",
                   R"(, {"destination": "/x", "type": "nfs", "source": "h:/"})",
                   R"(, {"destination": "/x", "type": "tmpfs", "options": ["weird"]})",
                   R"(, {"destination": "/x", "type": "bind", "source": "data",
                         "uidMappings": []})"}) {
    Config other;
    other.mounts += bad;
    EXPECT_EQ(refused(other).first, FailureCode::UNSUPPORTED) << bad;
  }
}

// OCI: linux.namespaces, linux.uidMappings
TEST_F(OciBundleTest, ListsItsNamespaces) {
  Config config;
  config.namespaces = R"({"type": "mount"}, {"type": "user"}, {"type": "pid"})";
  config.section = R"("uidMappings": [{"containerID": 0, "hostID": 5000, "size": 100}],
                      "gidMappings": [{"containerID": 0, "hostID": 6000, "size": 100}], )";
  config.args =
      shell("cat /proc/self/uid_map /proc/self/gid_map | tr -s ' '; cat /proc/1/comm; true");
  config.process = R"("capabilities": {"bounding": ["CAP_CHOWN"]}, )";
  EXPECT_EQ(output(config), " 0 5000 100\n 0 6000 100\nsh\n");
  config.namespaces = R"({"type": "pid"})";
  EXPECT_EQ(refused(config).first, FailureCode::UNSUPPORTED) << "no mount namespace";
  config.namespaces = R"({"type": "mount"}, {"type": "pid"}, {"type": "pid"})";
  EXPECT_EQ(refused(config).first, FailureCode::INVALID) << "twice the same";
  config.namespaces = R"({"type": "mount"}, {"type": "nonsense"})";
  EXPECT_EQ(refused(config).first, FailureCode::INVALID);
  config.namespaces = R"({"type": "mount"}, {"type": "network", "path": "/proc/1/ns/net"})";
  EXPECT_EQ(refused(config).first, FailureCode::UNSUPPORTED);
}

// OCI: linux.devices, linux.resources.devices
TEST_F(OciBundleTest, HeedsItsDeviceRules) {
  Config config;
  auto rules = [&](const std::string& allow) {
    config.section =
        R"("devices": [{"path": "/dev/log", "type": "c", "major": 1, "minor": 5,
                        "fileMode": 420, "uid": 3, "gid": 4}],
           "resources": {"devices": [{"allow": false, "access": "rwm"})" +
        allow + "]}, ";
    config.args = shell("stat -c '%a %u %g' /dev/log; head -c 3 /dev/log | wc -c");
    return run(config);
  };
  auto allowed = rules(R"(, {"allow": true, "type": "c", "major": 1, "minor": 5, "access": "r"})");
  EXPECT_STREQ(allowed.output.cStr(), "644 3 4\n3\n") << allowed.error.cStr();
}

// OCI: linux.sysctl, linux.maskedPaths, linux.readonlyPaths, linux.seccomp
TEST_F(OciBundleTest, HeedsTheRestOfTheLinuxSection) {
  Config config;
  config.root = R"({"path": "rootfs"})";
  config.section = R"("sysctl": {"kernel.msgmax": "4321"}, "maskedPaths": ["/notexec"],
      "readonlyPaths": ["/etc"], "rootfsPropagation": "rslave",
      "seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
                  "syscalls": [{"names": ["rmdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 36,
                                "args": []}]}, )";
  config.args = shell(
      "cat /proc/sys/kernel/msgmax; wc -c < /notexec; touch /etc/x || echo ro; "
      "rmdir /srv || echo filtered");
  auto outcome = run(config);
  EXPECT_STREQ(outcome.output.cStr(), "4321\n0\nro\nfiltered\n");
  EXPECT_NE(strstr(outcome.error.cStr(), "File name too long"), nullptr) << outcome.error.cStr();
}

// OCI: lifecycle
TEST_F(OciBundleTest, IsCreatedStartedKilledAndDeleted) {
  Config config;
  config.args = R"(["sleep", "1000"])";
  auto workload = create(config);
  auto state = [&]() {
    auto list = client.agent.workloadsRequest().send().wait(ws);
    return list.getWorkloads().size() == 1 ? static_cast<int>(list.getWorkloads()[0].getState())
                                           : -1;
  };
  EXPECT_EQ(state(), static_cast<int>(schema::WorkloadEntry::State::CREATED));
  auto started = client.start(workload);
  EXPECT_EQ(state(), static_cast<int>(schema::WorkloadEntry::State::RUNNING));
  EXPECT_EQ(failureFrom([&]() { client.start(workload); }).code, FailureCode::BUSY);
  auto kill = started.process.signalRequest();
  kill.setNumber(SIGKILL);
  kill.send().wait(ws);
  EXPECT_EQ(client.finish(started).signal, SIGKILL);
  EXPECT_EQ(state(), static_cast<int>(schema::WorkloadEntry::State::EXITED));
  EXPECT_EQ(failureFrom([&]() { create(config); }).code, FailureCode::ALREADY_EXISTS);
  workload.destroyRequest().send().wait(ws);
  EXPECT_EQ(state(), -1);
}

// OCI: hooks
TEST_F(OciBundleTest, SaysThatItRunsNoHooks) {
  Config config;
  config.top = R"("hooks": {"prestart": [], "poststop": [{"path": "/bin/true"}]}, )";
  auto [code, message] = refused(config);
  EXPECT_EQ(code, FailureCode::UNSUPPORTED);
  EXPECT_NE(message.find("hooks.poststop"), std::string::npos) << message;
  config.top = R"("hooks": {"prestart": []}, )";
  EXPECT_EQ(run(config).code, 0);
}

}  // namespace
}  // namespace bulkhead::zone
