// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/spec.h"

#include <capnp/message.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "services/runtime/failure.h"

namespace bulkhead::zone {
namespace {

class SpecTest : public testing::Test {
 protected:
  SpecTest() : spec(message.initRoot<schema::WorkloadSpec>()) {
    spec.setId("web-1");
    spec.setRootDisk("xvda");
    spec.initProcess().initArguments(1).set(0, "true");
  }
  ~SpecTest() noexcept override {}

  ContainerSpec read() { return readContainerSpec(spec.asReader()); }

  FailureCode failureCode() {
    try {
      read();
    } catch (...) {
      return failureOf(kj::getCaughtExceptionAsKj()).code;
    }
    return FailureCode::INTERNAL;
  }

  capnp::MallocMessageBuilder message;
  schema::WorkloadSpec::Builder spec;
};

TEST_F(SpecTest, FillsInDefaults) {
  auto result = read();
  EXPECT_EQ(result.logBytes, kDefaultLogBytes);
  EXPECT_EQ(result.stopSignal, SIGTERM);
  EXPECT_STREQ(result.process.workingDirectory.cStr(), "/");
  EXPECT_EQ(result.process.authority.capabilities, defaultCapabilities());
  EXPECT_EQ(result.rootAccess, RootAccess::writable);
  EXPECT_TRUE(result.process.terminal == nullptr);
}

TEST_F(SpecTest, RefusesIdsThatCouldBePaths) {
  for (auto id : {"", ".", "..", "a/b", "UPPER", "-x", "a b",
                  "0123456789012345678901234567890123456789012345678901234567890123"}) {
    spec.setId(id);
    EXPECT_EQ(failureCode(), FailureCode::INVALID) << id;
  }
}

TEST_F(SpecTest, RefusesDisksThatCouldBePaths) {
  for (auto disk : {"", "/dev/xvda", "../x", "xen/gntalloc", "XVDA"}) {
    spec.setRootDisk(disk);
    EXPECT_EQ(failureCode(), FailureCode::INVALID) << disk;
  }
}

TEST_F(SpecTest, RefusesNulBytes) {
  auto arguments = spec.getProcess().initArguments(2);
  arguments.set(0, "sh");
  arguments.set(1, kj::StringPtr("a\0b", 3));
  EXPECT_EQ(failureCode(), FailureCode::INVALID);
}

TEST_F(SpecTest, WantsACommand) {
  spec.getProcess().initArguments(0);
  EXPECT_EQ(failureCode(), FailureCode::NO_ENTRYPOINT);
  spec.getProcess().initArguments(1);
  EXPECT_EQ(failureCode(), FailureCode::NO_ENTRYPOINT);
}

TEST_F(SpecTest, BoundsArguments) {
  spec.getProcess().initArguments(4097);
  EXPECT_EQ(failureCode(), FailureCode::INVALID);
  spec.getProcess().initArguments(1).init(0, (1 << 20) + 1);
  EXPECT_EQ(failureCode(), FailureCode::INVALID);
}

TEST_F(SpecTest, WantsKeysInTheEnvironment) {
  for (auto entry : {"novalue", "=value", ""}) {
    spec.getProcess().initEnvironment(1).set(0, entry);
    EXPECT_EQ(failureCode(), FailureCode::INVALID) << entry;
  }
}

TEST_F(SpecTest, BoundsMemoryAndLog) {
  spec.setMemoryLimitBytes(1);
  EXPECT_EQ(failureCode(), FailureCode::INVALID);
  spec.setMemoryLimitBytes(0);
  spec.setLogBytes(1ull << 40);
  EXPECT_EQ(failureCode(), FailureCode::INVALID);
}

TEST_F(SpecTest, AddsAndDropsCapabilities) {
  auto capabilities = spec.getProcess().initCapabilities();
  capabilities.initDrop(1).set(0, "ALL");
  capabilities.initAdd(1).set(0, "NET_BIND_SERVICE");
  EXPECT_EQ(read().process.authority.capabilities, capability("NET_BIND_SERVICE"));
  capabilities.initAdd(1).set(0, "CAP_NET_ADMIN");
  EXPECT_EQ(failureCode(), FailureCode::INVALID);
}

TEST(SignalTest, KnowsNamesAndNumbers) {
  EXPECT_EQ(parseSignal(""), SIGTERM);
  EXPECT_EQ(parseSignal("SIGINT"), SIGINT);
  EXPECT_EQ(parseSignal("QUIT"), SIGQUIT);
  EXPECT_EQ(parseSignal("9"), SIGKILL);
  EXPECT_EQ(parseSignal("SIGRTMIN+3"), SIGRTMIN + 3);
  for (auto text : {"0", "65", "-1", "SIGNOPE", "RTMIN+200", "TERM "}) {
    EXPECT_ANY_THROW(parseSignal(text)) << text;
  }
}

TEST(CapabilitiesTest, HasTheUsualDefaults) {
  // What the big runtimes give: the same number stands in CapEff of their containers.
  EXPECT_EQ(defaultCapabilities(), 0x00000000a80425fbu);
}

}  // namespace
}  // namespace bulkhead::zone
