// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/oci-config.h"

#include <gtest/gtest.h>

#include <string>

#include <capnp/message.h>

#include "services/runtime/failure.h"

namespace bulkhead::zone {
namespace {

class OciConfigTest : public testing::Test {
 protected:
  ~OciConfigTest() noexcept override {}

  // A whole configuration with these members in "linux", "process" and at the top.
  std::string config(const std::string& section, const std::string& process = "",
                     const std::string& top = "") {
    return R"({"ociVersion": "1.0.2", "root": {"path": "r"}, )" + top + R"("process": {)" +
           process + R"("cwd": "/", "args": ["x"]}, "linux": {)" + section +
           R"("namespaces": [{"type": "mount"}]}})";
  }

  schema::WorkloadSpec::Reader read(const std::string& text) {
    auto spec = message.initRoot<schema::WorkloadSpec>();
    readOciConfig(kj::StringPtr(text.c_str(), text.size()).asBytes(), "/b", spec);
    return spec.asReader();
  }

  std::string resource(const std::string& resources) {
    std::string result;
    auto spec = read(config(R"("resources": {)" + resources + "}, "));
    for (auto pair : spec.getSettings().getCgroup()) {
      result += std::string(pair.getKey().cStr()) + "=" + pair.getValue().cStr() + ";";
    }
    return result;
  }

  std::pair<FailureCode, std::string> refused(const std::string& text) {
    try {
      read(text);
    } catch (...) {
      auto failure = failureOf(kj::getCaughtExceptionAsKj());
      return {failure.code, failure.message.cStr()};
    }
    return {FailureCode::INTERNAL, "nothing failed"};
  }

  capnp::MallocMessageBuilder message;
};

TEST_F(OciConfigTest, TheLeastThereIs) {
  auto spec = read(config(""));
  EXPECT_STREQ(spec.getRootDirectory().cStr(), "/b/r");
  EXPECT_STREQ(spec.getProcess().getUser().cStr(), "0:0");
  EXPECT_STREQ(spec.getProcess().getCapabilities().getDrop()[0].cStr(), "ALL");
  EXPECT_TRUE(spec.getSettings().getSystemCalls().isUnconfined());
  EXPECT_EQ(spec.getSettings().getPathDefaults(), schema::ContainerSettings::PathDefaults::DROPPED);
  for (auto choice : spec.getSettings().getNamespaces()) EXPECT_TRUE(choice.isZone());
}

// OCI: linux.resources
TEST_F(OciConfigTest, ResourcesBecomeThoseOfTheSecondVersion) {
  EXPECT_EQ(resource(R"("cpu": {"shares": 1024, "quota": 50000, "period": 100000, "cpus": "0-1"})"),
            "cpu.weight=39;cpu.max=50000 100000;cpuset.cpus=0-1;");
  EXPECT_EQ(resource(R"("cpu": {"shares": 2})"), "cpu.weight=1;");
  EXPECT_EQ(resource(R"("cpu": {"shares": 262144})"), "cpu.weight=10000;");
  EXPECT_EQ(resource(R"("cpu": {"quota": -1, "period": 50000})"), "cpu.max=max 50000;");
  EXPECT_EQ(resource(R"("memory": {"limit": 1000000, "swap": 1500000, "reservation": 7})"),
            "memory.low=7;memory.swap.max=500000;");
  EXPECT_EQ(resource(R"("memory": {"limit": -1, "swap": -1})"), "");
  EXPECT_EQ(resource(R"("blockIO": {"weight": 1000})"), "io.weight=10000;");
  EXPECT_EQ(resource(R"("hugepageLimits": [{"pageSize": "2MB", "limit": 9}])"),
            "hugetlb.2MB.max=9;");
  EXPECT_EQ(resource(R"("unified": {"memory.high": "77"})"), "memory.high=77;");
  auto spec = read(config(R"("resources": {"memory": {"limit": 4096}, "pids": {"limit": 12}}, )"));
  EXPECT_EQ(spec.getMemoryLimitBytes(), 4096u);
  EXPECT_EQ(spec.getPidsLimit(), 12u);
  EXPECT_EQ(refused(config(R"("resources": {"memory": {"limit": 9, "swap": 8}}, )")).first,
            FailureCode::INVALID);
}

TEST_F(OciConfigTest, TheLastRuleDecidesOverADevice) {
  auto access = [&](const std::string& rules) {
    auto spec = read(config(R"("devices": [{"path": "/dev/x", "type": "b", "major": 7,
        "minor": 1}], "resources": {"devices": [)" +
                            rules + "]}, "));
    return std::string(spec.getSettings().getDevices()[0].getAccess().cStr());
  };
  EXPECT_EQ(access(""), "rwm");
  EXPECT_EQ(access(R"({"allow": false})"), "m");
  EXPECT_EQ(access(R"({"allow": false}, {"allow": true, "type": "b", "major": 7})"), "rwm");
  EXPECT_EQ(access(R"({"allow": false}, {"allow": true, "type": "c", "major": 1, "minor": 3})"),
            "m");
  EXPECT_EQ(access(R"({"allow": false}, {"allow": true, "major": -1, "access": "r"})"), "r");
  EXPECT_EQ(access(R"({"allow": true}, {"allow": false, "major": 7, "minor": 1, "access": "w"})"),
            "rm");
}

// OCI: process.scheduler, process.selinuxLabel, process.ioPriority, process.execCPUAffinity
TEST_F(OciConfigTest, RefusesOfAProcessWhatItWouldNotHeed) {
  for (auto process : {R"("selinuxLabel": "x", )", R"("scheduler": {}, )", R"("ioPriority": {}, )",
                       R"("execCPUAffinity": {}, )"}) {
    EXPECT_EQ(refused(config("", process)).first, FailureCode::UNSUPPORTED) << process;
  }
}

// OCI: linux.intelRdt, linux.mountLabel, linux.personality, linux.timeOffsets, linux.netDevices,
// linux.memoryPolicy, linux.resources.network, linux.resources.rdma
TEST_F(OciConfigTest, RefusesWhatItWouldNotHeed) {
  for (auto section : {R"("intelRdt": {}, )", R"("mountLabel": "x", )", R"("personality": {}, )",
                       R"("timeOffsets": {}, )", R"("netDevices": {}, )", R"("memoryPolicy": {}, )",
                       R"("resources": {"network": {}}, )", R"("resources": {"rdma": {}}, )",
                       R"("resources": {"cpu": {"realtimePeriod": 1}}, )",
                       R"("resources": {"memory": {"swappiness": 1}}, )",
                       R"("resources": {"blockIO": {"throttleReadBpsDevice": []}}, )",
                       R"("devices": [{"path": "/dev/p", "type": "p"}], )"}) {
    EXPECT_EQ(refused(config(section)).first, FailureCode::UNSUPPORTED) << section;
  }
  for (auto top : {R"("windows": {}, )", R"("solaris": {}, )", R"("vm": {}, )"}) {
    EXPECT_EQ(refused(config("", "", top)).first, FailureCode::UNSUPPORTED) << top;
  }
}

TEST_F(OciConfigTest, RefusesRulesThatAllowWhatIsNotListed) {
  auto rule = [&](const std::string& text) {
    return refused(config(R"("resources": {"devices": [)" + text + "]}, "));
  };
  for (auto text : {R"({"allow": true})", R"({"allow": true, "type": "b", "access": "r"})",
                    R"({"allow": true, "type": "c", "major": 10, "minor": 200})"}) {
    EXPECT_EQ(rule(text).first, FailureCode::UNSUPPORTED) << text;
  }
  for (auto text : {R"({"allow": true, "access": "m"})", R"({"allow": false})",
                    R"({"allow": true, "type": "c", "major": 136})",
                    R"({"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm"})"}) {
    EXPECT_EQ(rule(text).second, "nothing failed") << text;
  }
}

TEST_F(OciConfigTest, NamesWhatIsWrong) {
  auto [code, message] = refused(config("", R"("user": {"uid": -1}, )"));
  EXPECT_EQ(code, FailureCode::INVALID);
  EXPECT_NE(message.find("process.user.uid"), std::string::npos) << message;
  for (auto text : {"", "{", "[]", "{}", R"({"ociVersion": 1})",
                    R"({"ociVersion": "1.0.0", "root": {"path": "r"}, "process": {"cwd": "/"}})"}) {
    EXPECT_EQ(refused(text).first, FailureCode::INVALID) << text;
  }
  EXPECT_EQ(refused(R"({"ociVersion": "2.0.0"})").first, FailureCode::UNSUPPORTED);
  EXPECT_EQ(refused(config(R"("rootfsPropagation": "sideways", )")).first, FailureCode::INVALID);
  EXPECT_EQ(refused(std::string((1 << 20) + 1, ' ')).first, FailureCode::INVALID);
  EXPECT_EQ(refused(R"({"a":)" + std::string(64, '[') + std::string(64, ']') + "}").first,
            FailureCode::INVALID);
}

// Every prefix of a configuration and every byte of it replaced ends in a failure with a code, or
// in a specification.
TEST_F(OciConfigTest, DamagedTextIsATypedFailure) {
  auto whole = config(R"("devices": [{"path": "/dev/x", "type": "c", "major": 1, "minor": 3}],
      "resources": {"cpu": {"shares": 5}, "unified": {"cpu.max": "1"}}, )",
                      R"("user": {"uid": 1}, "rlimits": [{"type": "a", "soft": 1, "hard": 2}], )");
  for (size_t i = 0; i < whole.size(); ++i) {
    auto [code, message] = refused(whole.substr(0, i));
    EXPECT_EQ(code, FailureCode::INVALID) << whole.substr(0, i);
    for (char c : {'"', '{', '}', '0', '-', '\0'}) {
      auto damaged = whole;
      damaged[i] = c;
      auto failure = refused(damaged);
      EXPECT_TRUE(failure.first != FailureCode::INTERNAL || failure.second == "nothing failed")
          << failure.second;
    }
  }
}

}  // namespace
}  // namespace bulkhead::zone
