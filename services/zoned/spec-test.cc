// SPDX-License-Identifier: Apache-2.0
#include "services/zoned/spec.h"

#include <capnp/message.h>
#include <gtest/gtest.h>
#include <kj/function.h>

#include <initializer_list>
#include <string>

#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

using Fill = kj::Function<void(schema::ZoneSpec::Builder)>;

// The field that is refused; empty when nothing is.
std::string refused(Fill fill) {
  capnp::MallocMessageBuilder in;
  auto spec = in.initRoot<schema::ZoneSpec>();
  spec.setImage("debian:13");
  fill(spec);
  capnp::MallocMessageBuilder out;
  try {
    normalizeSpec(spec, ZonedConfig(), out.initRoot<schema::ZoneSpec>());
  } catch (const kj::Exception& exception) {
    auto problem = failureOf(exception);
    EXPECT_EQ(problem.code, FailureCode::INVALID) << problem.message.cStr();
    return problem.subject.cStr();
  }
  return "";
}

TEST(Spec, DefaultsAreFilledIn) {
  capnp::MallocMessageBuilder in;
  auto spec = in.initRoot<schema::ZoneSpec>();
  spec.setImage("debian:13");
  capnp::MallocMessageBuilder out;
  auto normal = out.initRoot<schema::ZoneSpec>();
  normalizeSpec(spec, ZonedConfig(), normal);
  EXPECT_EQ(normal.getMemoryMiB(), 256u);
  EXPECT_EQ(normal.getVcpus(), 1);
  EXPECT_TRUE(normal.getKernelImage().asReader() == "oci:/usr/lib/bulkhead/images/zone-kernel");
}

TEST(Spec, WhatTheContainerIsToldIsKept) {
  capnp::MallocMessageBuilder in;
  auto spec = in.initRoot<schema::ZoneSpec>();
  spec.setImage("debian:13");
  spec.initContainer().initMaskedPaths(1).set(0, "/secret");
  spec.setStopSignal("SIGINT");
  spec.initProcess().initAdditionalGroups(1).set(0, "tty");
  capnp::MallocMessageBuilder out;
  auto normal = out.initRoot<schema::ZoneSpec>();
  normalizeSpec(spec, ZonedConfig(), normal);
  EXPECT_TRUE(normal.getContainer().getMaskedPaths()[0].asReader() == "/secret");
  EXPECT_TRUE(normal.getStopSignal().asReader() == "SIGINT");
  EXPECT_TRUE(normal.getProcess().getAdditionalGroups()[0].asReader() == "tty");
}

TEST(MergeExec, AFurtherProcessMayDoWhatTheFirstMay) {
  capnp::MallocMessageBuilder message;
  auto first = message.getOrphanage().newOrphan<schema::ProcessSpec>();
  first.get().initCapabilities().initDrop(1).set(0, "ALL");
  first.get().initLimits(1)[0].setName("nofile");
  first.get().setPrivileges(schema::ProcessSpec::Privileges::GAINABLE);
  first.get().setOomScoreAdjust(7);
  first.get().getUmask().setBits(0);
  first.get().setTimeoutMilliseconds(5);
  auto wanted = message.getOrphanage().newOrphan<schema::ProcessSpec>();
  wanted.get().initCapabilities().initAdd(1).set(0, "SYS_ADMIN");
  wanted.get().setTimeoutMilliseconds(6);
  auto merged = message.initRoot<schema::ProcessSpec>();
  mergeExec(first.getReader(), wanted.getReader(), merged);
  EXPECT_TRUE(merged.getCapabilities().getDrop()[0].asReader() == "ALL");
  EXPECT_EQ(merged.getCapabilities().getAdd().size(), 0u) << "more than the first one may";
  EXPECT_TRUE(merged.getLimits()[0].getName().asReader() == "nofile");
  EXPECT_EQ(merged.getPrivileges(), schema::ProcessSpec::Privileges::GAINABLE);
  EXPECT_EQ(merged.getOomScoreAdjust(), 7);
  EXPECT_TRUE(merged.getUmask().isBits());
  EXPECT_EQ(merged.getTimeoutMilliseconds(), 6u) << "each has its own";
}

TEST(Spec, ExtensionsAreTheConfiguredOnesUnlessTheZoneHasItsOwn) {
  auto config = parseZonedConfig("extension-images = [\"oci:/a\", \"oci:/b\"]", "zoned.toml");
  capnp::MallocMessageBuilder in;
  auto spec = in.initRoot<schema::ZoneSpec>();
  spec.setImage("debian:13");
  auto extensions = [&]() {
    capnp::MallocMessageBuilder out;
    auto normal = out.initRoot<schema::ZoneSpec>();
    normalizeSpec(spec, config, normal);
    std::string names;
    for (kj::StringPtr name : normal.getExtensionImages().asReader()) {
      names += kj::str(name, " ").cStr();
    }
    return names;
  };
  EXPECT_EQ(extensions(), "oci:/a oci:/b ");
  spec.initExtensionImages(1).set(0, "oci:/c");
  EXPECT_EQ(extensions(), "oci:/c ");
  EXPECT_ANY_THROW(parseZonedConfig("extension-images = \"oci:/a\"", "zoned.toml"));
  EXPECT_ANY_THROW(parseZonedConfig("extension-images = [1]", "zoned.toml"));
}

TEST(Spec, EachWrongFieldIsNamed) {
  EXPECT_EQ(refused([](auto) {}), "");
  EXPECT_EQ(refused([](auto s) { s.setName("Not_Valid"); }), "name");
  EXPECT_EQ(refused([](auto s) { s.setHostname("a.b"); }), "hostname");
  EXPECT_EQ(refused([](auto s) { s.setImage(""); }), "image");
  EXPECT_EQ(refused([](auto s) { s.setImage("a b"); }), "image");
  EXPECT_EQ(refused([](auto s) { s.setKernelImage("a\nb"); }), "kernelImage");
  EXPECT_EQ(refused([](auto s) { s.setSystemImage("\x1b"); }), "systemImage");
  EXPECT_EQ(refused([](auto s) { s.initExtensionImages(17); }), "extensionImages");
  EXPECT_EQ(refused([](auto s) { s.initExtensionImages(1); }), "extensionImages");
  EXPECT_EQ(refused([](auto s) { s.initExtensionImages(1).set(0, "a b"); }), "extensionImages");
  EXPECT_EQ(refused([](auto s) { s.setMemoryMiB(47); }), "memoryMiB");
  EXPECT_EQ(refused([](auto s) { s.setMemoryMiB(UINT32_MAX); }), "memoryMiB");
  EXPECT_EQ(refused([](auto s) { s.setVcpus(65); }), "vcpus");
  EXPECT_EQ(refused([](auto s) { s.setKernelOptions("quiet\n"); }), "kernelOptions");
  EXPECT_EQ(refused([](auto s) { s.initProcess().setWorkingDirectory("relative"); }),
            "workingDirectory");
  EXPECT_EQ(refused([](auto s) { s.initProcess().initEnvironment(1).set(0, "NOVALUE"); }),
            "environment");
  EXPECT_EQ(refused([](auto s) { s.initProcess().initEnvironment(1).set(0, "=x"); }),
            "environment");
  EXPECT_EQ(refused([](auto s) { s.initProcess().initTerminal().setRows(24); }), "terminal");
  EXPECT_EQ(
      refused([](auto s) { s.initProcess().initCapabilities().initAdd(1).set(0, "net_raw"); }),
      "net_raw");
  EXPECT_EQ(refused([](auto s) { s.initProcess().initLimits(1)[0].setName("hope"); }), "hope");
  EXPECT_EQ(refused([](auto s) { s.initProcess().setOomScoreAdjust(-2000); }), "oomScoreAdjust");
  EXPECT_EQ(refused([](auto s) { s.initContainer().initMounts(1)[0].setDestination("x"); }), "x");
  EXPECT_EQ(refused([](auto s) { s.initContainer().initSysctls(1)[0].setKey("vm.swappiness"); }),
            "vm.swappiness");
  EXPECT_EQ(refused([](auto s) { s.setStopSignal("SIGNOTHING"); }), "SIGNOTHING");
  EXPECT_EQ(refused([](auto s) { s.initLabels(65); }), "labels");
  EXPECT_EQ(refused([](auto s) { s.setVirtualization(static_cast<schema::Virtualization>(77)); }),
            "virtualization");
}

TEST(Spec, ZeroBytesAndLengthsAreRefused) {
  EXPECT_EQ(
      refused([](auto s) { s.initProcess().initArguments(1).set(0, kj::StringPtr("a\0b", 3)); }),
      "arguments");
  EXPECT_EQ(refused([](auto s) {
              std::string big((1u << 20) + 1, 'x');
              s.initProcess().initArguments(1).set(0, big.c_str());
            }),
            "arguments");
  EXPECT_EQ(refused([](auto s) { s.initProcess().initArguments(4097); }), "arguments");
}

TEST(Spec, NumbersOfUsersStayNumbers) {
  auto user = [](kj::StringPtr text) {
    return refused([text](auto s) { s.initProcess().setUser(text); });
  };
  for (kj::StringPtr good : {"", "0", "1000:1000", "www-data", "nobody:nogroup", "2147483646"}) {
    EXPECT_EQ(user(good), "") << good.cStr();
  }
  for (kj::StringPtr bad : {"2147483648", "4294967295", "4294967296", "-1", "+5", "0x10", "1e3",
                            ":", "1:", "99999999999999999999", "a\nb"}) {
    EXPECT_EQ(user(bad), "user") << bad.cStr();
  }
}

class Merge : public ::testing::Test {
 protected:
  Merge() = default;
  ~Merge() noexcept override = default;

  capnp::MallocMessageBuilder imageMessage, specMessage, mergedMessage;
  schema::ContainerConfig::Builder image = imageMessage.initRoot<schema::ContainerConfig>();
  schema::ZoneSpec::Builder spec = specMessage.initRoot<schema::ZoneSpec>();

  static void set(capnp::List<capnp::Text>::Builder list,
                  std::initializer_list<kj::StringPtr> texts) {
    uint i = 0;
    for (auto text : texts) list.set(i++, text);
  }

  schema::ProcessSpec::Builder merge() {
    auto merged = mergedMessage.initRoot<schema::ProcessSpec>();
    mergeProcess("image", image, spec, "host", merged);
    return merged;
  }

  std::string arguments() { return kj::strArray(merge().getArguments().asReader(), " ").cStr(); }
  std::string environment() {
    return kj::strArray(merge().getEnvironment().asReader(), " ").cStr();
  }
};

TEST_F(Merge, EntrypointAndCommandOfTheImage) {
  set(image.initEntrypoint(1), {"entry"});
  set(image.initCommand(2), {"a", "b"});
  EXPECT_EQ(arguments(), "entry a b");
}

TEST_F(Merge, ArgumentsReplaceTheCommand) {
  set(image.initEntrypoint(1), {"entry"});
  set(image.initCommand(1), {"a"});
  set(spec.initProcess().initArguments(1), {"mine"});
  EXPECT_EQ(arguments(), "entry mine");
}

TEST_F(Merge, AnEntrypointReplacesBoth) {
  set(image.initEntrypoint(1), {"entry"});
  set(image.initCommand(1), {"a"});
  set(spec.initEntrypoint(1), {"sh"});
  EXPECT_EQ(arguments(), "sh");
  set(spec.initProcess().initArguments(1), {"-l"});
  EXPECT_EQ(arguments(), "sh -l");
}

TEST_F(Merge, NothingToRunIsAnError) {
  try {
    merge();
    FAIL();
  } catch (const kj::Exception& exception) {
    EXPECT_TRUE(isFailure(exception, FailureCode::NO_ENTRYPOINT));
  }
}

TEST_F(Merge, EnvironmentsAreJoined) {
  set(image.initCommand(1), {"x"});
  set(image.initEnvironment(2), {"A=image", "B=image"});
  set(spec.initProcess().initEnvironment(2), {"B=mine", "C=mine"});
  EXPECT_EQ(environment(),
            "A=image B=mine PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "
            "HOSTNAME=host C=mine");
}

TEST_F(Merge, DirectoryAndUser) {
  set(image.initCommand(1), {"x"});
  image.setWorkingDirectory("app");
  image.setUser("www-data");
  EXPECT_TRUE(merge().getWorkingDirectory().asReader() == "/app");
  EXPECT_TRUE(merge().getUser().asReader() == "www-data");
  spec.initProcess().setUser("7");
  spec.getProcess().setWorkingDirectory("/mine");
  EXPECT_TRUE(merge().getWorkingDirectory().asReader() == "/mine");
  EXPECT_TRUE(merge().getUser().asReader() == "7");
}

TEST_F(Merge, WhatTheImageSaysIsCheckedToo) {
  set(image.initCommand(1), {"x"});
  image.setUser("4294967296");
  try {
    merge();
    FAIL();
  } catch (const kj::Exception& exception) {
    EXPECT_EQ(failureOf(exception).subject, "image");
  }
}

}  // namespace
}  // namespace bulkhead
