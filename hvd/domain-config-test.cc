// SPDX-License-Identifier: Apache-2.0
#include "hvd/domain-config.h"

#include <capnp/message.h>
#include <gtest/gtest.h>

#include <string>

#include "services/runtime/failure.h"
#include "services/runtime/files.h"

namespace bulkhead::hvd {
namespace {

struct Spec {
  capnp::MallocMessageBuilder message;
  schema::DomainSpec::Builder root = message.initRoot<schema::DomainSpec>();

  Spec() {
    root.setUuid(Uuid::random().data());
    root.setName("web-1");
    root.setKernel(makeFile(kj::AutoCloseFd()));
    root.setCommandLine("console=hvc0");
    root.setMemoryMiB(256);
    root.setVcpus(2);
    auto disk = root.initDisks(2);
    for (unsigned i = 0; i < 2; ++i) {
      disk[i].setName(i == 0 ? "xvda" : "xvdp");
      disk[i].setImage(makeFile(kj::AutoCloseFd()));
    }
    auto vif = root.initInterfaces(2);
    vif[0].setIndex(3);
    vif[0].setMac("02:00:00:00:00:0a");
    vif[1].setIndex(4);
    vif[1].setMac("02:00:00:00:00:0b");
  }
};

TEST(DomainConfig, TakesAGoodSpec) {
  Spec spec;
  auto config = checkSpec(spec.root);
  EXPECT_EQ(config.name, "web-1");
  EXPECT_EQ(config.maxMemoryMiB, 256u);
  EXPECT_EQ(config.maxVcpus, 2u);
  EXPECT_EQ(config.disks[0].device, 51712u);
  EXPECT_EQ(config.disks[1].device, 51712u + 15 * 16);
  EXPECT_EQ(config.vifs[1].index, 4u);
}

struct Refusal {
  const char* field;
  void (*bend)(schema::DomainSpec::Builder);
};

class DomainConfigRefuses : public testing::TestWithParam<Refusal> {};

TEST_P(DomainConfigRefuses, NamesTheField) {
  Spec spec;
  GetParam().bend(spec.root);
  try {
    checkSpec(spec.root);
    ADD_FAILURE() << "accepted";
  } catch (...) {
    auto failure = failureOf(kj::getCaughtExceptionAsKj());
    EXPECT_TRUE(failure.code == FailureCode::INVALID || failure.code == FailureCode::UNSUPPORTED);
    EXPECT_EQ(failure.subject, GetParam().field);
  }
}

using B = schema::DomainSpec::Builder;
const Refusal kRefusals[] = {
    {"uuid", [](B b) { b.initUuid(15); }},
    {"uuid", [](B b) { b.initUuid(16); }},
    {"name", [](B b) { b.setName(""); }},
    {"name", [](B b) { b.setName("-a"); }},
    {"name", [](B b) { b.setName("A"); }},
    {"name", [](B b) { b.setName("a/../b"); }},
    {"name", [](B b) { b.setName(kj::str(kj::repeat('a', 64))); }},
    {"kernel", [](B b) { b.disownKernel(); }},
    {"commandLine", [](B b) { b.setCommandLine(kj::str(kj::repeat('a', 1024))); }},
    {"commandLine", [](B b) { b.setCommandLine("a\nb"); }},
    {"commandLine", [](B b) { b.setCommandLine("\xc3\xa4"); }},
    {"memoryMiB", [](B b) { b.setMemoryMiB(0); }},
    {"memoryMiB", [](B b) { b.setMemoryMiB(UINT32_MAX); }},
    {"maxMemoryMiB", [](B b) { b.setMaxMemoryMiB(255); }},
    {"maxMemoryMiB", [](B b) { b.setMaxMemoryMiB(UINT32_MAX); }},
    {"vcpus", [](B b) { b.setVcpus(0); }},
    {"vcpus",
     [](B b) {
       b.setVcpus(65);
       b.setMaxVcpus(65);
     }},
    {"maxVcpus", [](B b) { b.setMaxVcpus(1); }},
    {"maxVcpus", [](B b) { b.setMaxVcpus(65535); }},
    {"virtualization", [](B b) { b.setVirtualization(static_cast<Virtualization>(9)); }},
    {"disks", [](B b) { b.initDisks(17); }},
    {"disks.name", [](B b) { b.getDisks()[0].setName("sda"); }},
    {"disks.name", [](B b) { b.getDisks()[0].setName("xvdq"); }},
    {"disks.name", [](B b) { b.getDisks()[0].setName("xvda1"); }},
    {"disks.name", [](B b) { b.getDisks()[1].setName("xvda"); }},
    {"disks.image", [](B b) { b.getDisks()[0].disownImage(); }},
    {"disks.access", [](B b) { b.getDisks()[0].setAccess(static_cast<Access>(7)); }},
    {"interfaces", [](B b) { b.initInterfaces(9); }},
    {"interfaces.index", [](B b) { b.getInterfaces()[0].setIndex(4); }},
    {"interfaces.index", [](B b) { b.getInterfaces()[0].setIndex(65536); }},
    {"interfaces.mac", [](B b) { b.getInterfaces()[0].setMac("02:00:00:00:00:0A"); }},
    {"interfaces.mac", [](B b) { b.getInterfaces()[0].setMac("03:00:00:00:00:0a"); }},
    {"interfaces.mac", [](B b) { b.getInterfaces()[0].setMac("02-00-00-00-00-0a"); }},
    {"interfaces.mac", [](B b) { b.getInterfaces()[0].setMac("02:00:00:00:00:0b"); }},
    {"interfaces.backendDomain", [](B b) { b.getInterfaces()[0].setBackendDomain(0x7ff0); }},
    {"interfaces.mtu", [](B b) { b.getInterfaces()[0].setMtu(100); }},
    {"interfaces.mtu", [](B b) { b.getInterfaces()[0].setMtu(70000); }},
    {"pciDevices", [](B b) { b.initPciDevices(1); }},
};

INSTANTIATE_TEST_SUITE_P(Fields, DomainConfigRefuses, testing::ValuesIn(kRefusals));

TEST(ParseStrictly, TakesPlainNumbersOnly) {
  auto parse = [](std::string text) {
    return parseStrictly(kj::arrayPtr(text.data(), text.size()));
  };
  EXPECT_EQ(parse("0").orDefault(9), 0u);
  EXPECT_EQ(parse("13").orDefault(0), 13u);
  EXPECT_EQ(parse("4294967295").orDefault(0), UINT32_MAX);
  for (const char* text : {"", "4294967296", "9999999999", "10000000000", "-1", "+1", " 1", "1 ",
                           "01", "0x1", "1e3", "1\n"}) {
    EXPECT_TRUE(parse(text) == nullptr) << text;
  }
  EXPECT_TRUE(parse(std::string("1\0", 2)) == nullptr);
  EXPECT_TRUE(parse(std::string(4096, '1')) == nullptr);
}

}  // namespace
}  // namespace bulkhead::hvd
