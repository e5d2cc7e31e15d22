// SPDX-License-Identifier: Apache-2.0
// hvd alone on the real hypervisor: what zoned never asks of it, and deaths at any moment.
#include <gmock/gmock.h>

#include <fcntl.h>

#include <fstream>

#include <kj/debug.h>

#include "services/runtime/failure.h"
#include "services/runtime/files.h"
#include "tests/xen/hvd-fixture.h"

namespace bulkhead::xentest {
namespace {

using schema::Virtualization;
using ::testing::HasSubstr;

TEST_F(HvdTest, TellsOfTheHost) {
  auto response = await(hypervisor().statusRequest().send());
  auto status = response.getStatus();
  EXPECT_TRUE(kj::StringPtr(status.getXenVersion()).startsWith("4."));
  EXPECT_GT(status.getFreeMemory(), 0u);
  EXPECT_FALSE(status.getControlDegraded());
  auto cpus = await(hypervisor().topologyRequest().send());
  EXPECT_EQ(cpus.getCpus().size(), status.getCpus());
}

class HvdKind : public HvdTest, public ::testing::WithParamInterface<Virtualization> {
 public:
  ~HvdKind() noexcept override {}
};

TEST_P(HvdKind, RunsAGuestAndEndsIt) {
  auto guest = create(order(GetParam(), "test=none"));
  unpause(guest);
  expectSaid(guest, "guest: ready");
  auto info = await(guest.domain.infoRequest().send());
  EXPECT_EQ(info.getInfo().getVirtualization(), GetParam());
  EXPECT_EQ(info.getInfo().getState(), schema::DomainInfo::State::RUNNING);
  destroy(guest.domain);
  auto end = await(guest.domain.whenEndedRequest().send());
  EXPECT_EQ(end.getEnd().getReason(), schema::DomainEnd::Reason::DESTROYED);
}

INSTANTIATE_TEST_SUITE_P(Xen, HvdKind, ::testing::Values(Virtualization::PV, Virtualization::PVH),
                         [](const auto& info) {
                           return info.param == Virtualization::PV ? "pv" : "pvh";
                         });

TEST_F(HvdTest, GivesAGuestItsDisk) {
  auto image = directory + "/image";
  std::ofstream(image) << "disk works!" << std::string(8192 - 11, 'x');
  auto request = order(Virtualization::PV, "test=disk");
  auto disk = request.getSpec().initDisks(1)[0];
  disk.setName("xvda");
  int fd;
  KJ_SYSCALL(fd = open(image.c_str(), O_RDONLY | O_CLOEXEC));
  disk.setImage(makeFile(kj::AutoCloseFd(fd)));
  disk.setAccess(schema::DiskSpec::Access::READ_ONLY);
  auto guest = create(kj::mv(request));
  unpause(guest);
  expectSaid(guest, "guest: disk disk works! ro 1");
  destroy(guest.domain);
}

TEST_F(HvdTest, SaysThatAGuestPoweredOff) {
  auto guest = create(order(Virtualization::PV, "test=poweroff"));
  unpause(guest);
  auto response = await(guest.domain.whenEndedRequest().send());
  EXPECT_EQ(response.getEnd().getReason(), schema::DomainEnd::Reason::POWEROFF);
  destroy(guest.domain);
}

TEST_F(HvdTest, SaysThatAGuestCrashedAndKeepsItsLastWords) {
  auto guest = create(order(Virtualization::PV, "test=crash"));
  unpause(guest);
  auto response = await(guest.domain.whenEndedRequest().send());
  EXPECT_EQ(response.getEnd().getReason(), schema::DomainEnd::Reason::CRASH);
  EXPECT_THAT(response.getEnd().getConsoleTail().cStr(), HasSubstr("Kernel panic"));
  destroy(guest.domain);
}

TEST_F(HvdTest, AdoptsItsGuestAfterBeingKilled) {
  {
    auto guest = create(order(Virtualization::PV, "test=none"));
    unpause(guest);
    expectSaid(guest, "guest: init runs");
  }
  killHard();
  start();
  auto list = await(hypervisor().domainsRequest().send());
  ASSERT_EQ(list.getDomains().size(), 1u);
  auto guest = listenTo(list.getDomains()[0].getDomain());
  expectSaid(guest, "guest: ready");
  destroy(guest.domain);
}

TEST_F(HvdTest, ClearsACreationItDiedIn) {
  // Moments spread over the usual length of a creation, and a little more.
  for (unsigned i = 0; i < 10; ++i) {
    {
      auto creation = order(Virtualization::PV, "test=none").send();
      io.provider->getTimer().afterDelay((10 + i * 40) * kj::MILLISECONDS).wait(io.waitScope);
    }
    killHard();
    start();
    auto list = await(hypervisor().domainsRequest().send());
    // One that was complete is adopted.
    for (auto entry : list.getDomains()) destroy(entry.getDomain());
  }
}

TEST_F(HvdTest, UndoesACreationNobodyWaitsFor) {
  {
    auto creation = order(Virtualization::PV, "test=none").send();
  }
  // Answered behind the cancellation. What is undone meanwhile the fixture waits for.
  EXPECT_TRUE(eventually(
      [&]() { return await(hypervisor().domainsRequest().send()).getDomains().size() == 0; }));
}

class HvdRefuses : public HvdTest {
 public:
  ~HvdRefuses() noexcept override {}

 protected:
  Failure failureFor(unsigned memoryMiB) {
    try {
      await(order(Virtualization::AUTOMATIC, "", memoryMiB).send().ignoreResult());
    } catch (...) {
      return failureOf(kj::getCaughtExceptionAsKj());
    }
    return failure(FailureCode::INTERNAL, "", "it was accepted");
  }
};

TEST_F(HvdRefuses, AGuestThatItsOwnFilesDoNotFitInto) {
  auto small = failureFor(16);
  EXPECT_EQ(small.code, FailureCode::INSUFFICIENT_MEMORY) << small.describe().cStr();
}

TEST_F(HvdRefuses, AGuestThatTheHostHasNoMemoryFor) {
  auto large = failureFor(512 * 1024);
  EXPECT_EQ(large.code, FailureCode::INSUFFICIENT_MEMORY) << large.describe().cStr();
}

TEST_F(HvdTest, AnswersBesideANoisyConsole) {
  auto guest = create(order(Virtualization::PV, "test=noise"));
  unpause(guest);
  expectSaid(guest, "noise");
  for (int i = 0; i < 20; ++i) await(hypervisor().statusRequest().send().ignoreResult());
  // It is still being read.
  guest.console->text.clear();
  expectSaid(guest, "noise");
  destroy(guest.domain);
}

}  // namespace
}  // namespace bulkhead::xentest
