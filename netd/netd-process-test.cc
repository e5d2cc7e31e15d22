// SPDX-License-Identifier: Apache-2.0
// The real daemons under their real sandboxes, with veth pairs in place of Xen's vifs.
#include <gtest/gtest.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <kj/debug.h>

#include "netd/test/net-stack.h"
#include "services/runtime/failure.h"
#include "services/runtime/uuid.h"

namespace bulkhead::net {
namespace {

const MacAddress kVifMac{{0xfe, 0xff, 0xff, 0xff, 0xff, 0xff}};
const MacAddress kForeignMac{{0x02, 0x66, 0x66, 0x66, 0x66, 0x66}};

IpAddress ip(kj::StringPtr text) { return KJ_ASSERT_NONNULL(IpAddress::parse(text)); }

bool netfilterMissing() {
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
  if (fd < 0) return true;
  close(fd);
  return false;
}

class NetworkTest : public testing::Test {
 public:
  ~NetworkTest() noexcept override {}

 protected:
  kj::Own<NetStack> stack;

  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root: it makes network namespaces";
    if (netfilterMissing()) GTEST_SKIP() << "this kernel has no nfnetlink: load nf_tables";
    stack = kj::heap<NetStack>();
    stack->startAgent();
    stack->startController();
    stack->waitForAgent(true);
  }

  kj::WaitScope& waitScope() { return stack->io.waitScope; }

  FailureCode codeOf(kj::Promise<void> promise) {
    return promise
        .then([]() -> FailureCode { KJ_FAIL_REQUIRE("no failure"); },
              [](kj::Exception&& e) { return failureOf(e).code; })
        .wait(waitScope());
  }
};

// One zone on the network, and a raw socket in it.
class SpoofTest : public NetworkTest {
 public:
  ~SpoofTest() noexcept override {}

 protected:
  kj::Own<TestZone> zone;
  kj::Own<FrameSocket> wire;
  kj::Maybe<schema::Attachment::Client> attachment;
  FrameMaker honest;

  void SetUp() override {
    NetworkTest::SetUp();
    if (IsSkipped()) return;
    zone = kj::heap<TestZone>();
    attachment = stack->bringUp(*zone, 1, 7);
    wire = kj::heap<FrameSocket>(zone->network, "eth0");
    honest = FrameMaker{zone->mac, kVifMac};
  }

  uint64_t dropped() { return stack->droppedSpoofed(KJ_ASSERT_NONNULL(attachment)); }

  // The wire keeps the order, so that when an honest request sent afterwards is answered, the
  // answer to the frame would have been there before.
  bool isAnswered(kj::ArrayPtr<const kj::byte> frame) {
    wire->send(frame);
    wire->send(honest.echo(zone->v4, ip("169.254.1.1"), 4711));
    bool answered = false;
    for (;;) {
      auto received = KJ_REQUIRE_NONNULL(wire->receive(), "the honest request was not answered");
      auto identifier = echoReplyIdentifier(received);
      if (identifier == uint16_t{4711}) return answered;
      if (identifier != nullptr || isArpReply(received)) answered = true;
    }
  }

  void expectDropped(kj::ArrayPtr<const kj::byte> frame) {
    auto before = dropped();
    EXPECT_FALSE(isAnswered(frame));
    EXPECT_GE(dropped(), before + 1);
  }
};

TEST_F(NetworkTest, AZoneReachesTheGatewayOverBothProtocols) {
  TestZone zone;
  auto attachment = stack->bringUp(zone, 1, 7);
  EXPECT_TRUE(zone.pings("169.254.1.1"));
  EXPECT_TRUE(zone.pings("fe80::1%eth0", "ping6"));
  auto statistics = attachment.statisticsRequest().send().wait(waitScope());
  EXPECT_GE(statistics.getStatistics().getReceivedPackets(), 2u);
  EXPECT_GE(statistics.getStatistics().getTransmittedBytes(), 84u);
}

TEST_F(NetworkTest, ZonesDoNotReachEachOther) {
  TestZone first, second;
  stack->bringUp(first, 1, 7);
  stack->bringUp(second, 2, 8);
  EXPECT_TRUE(first.pings("169.254.1.1"));
  EXPECT_TRUE(second.pings("169.254.1.1"));
  EXPECT_FALSE(first.pings(second.v4.text()));
  EXPECT_FALSE(first.pings(second.v6.text(), "ping6"));
}

TEST_F(NetworkTest, ADeviceMayAppearLate) {
  TestZone zone;
  auto attachment = stack->attach(1);
  auto plan = attachment.planRequest().send().wait(waitScope());
  stack->learn(zone, plan.getPlan());
  auto request = attachment.connectRequest();
  request.setDomid(9);
  auto connected = request.send();
  EXPECT_FALSE(connected.poll(waitScope()));
  // Events about other devices change nothing.
  stack->host.mustRun("ip link add vif9.1 type veth peer name vif9x");
  EXPECT_FALSE(connected.poll(waitScope()));
  stack->plug(zone, "vif9.0");
  connected.wait(waitScope());
  stack->driver.mustRun("ip link show vif9.0 up | grep -q UP");
  stack->host.mustRun("ip link show vif9.1");
  stack->host.mustRun("ip link show vif9x");
}

TEST_F(NetworkTest, AttachingTwiceGivesTheSamePlace) {
  auto first = stack->attach(1).planRequest().send().wait(waitScope());
  auto second = stack->attach(1).planRequest().send().wait(waitScope());
  EXPECT_EQ(first.getPlan().toString().flatten(), second.getPlan().toString().flatten());
  auto other = stack->attach(2).planRequest().send().wait(waitScope());
  EXPECT_NE(first.getPlan().getAddresses()[0], other.getPlan().getAddresses()[0]);
  EXPECT_NE(first.getPlan().getMac(), other.getPlan().getMac());
}

TEST_F(NetworkTest, AddressesOutliveTheController) {
  auto before = stack->attach(1).planRequest().send().wait(waitScope());
  stack->controller.stop(SIGKILL);
  stack->startController();
  auto after = stack->attach(1).planRequest().send().wait(waitScope());
  EXPECT_EQ(before.getPlan().toString().flatten(), after.getPlan().toString().flatten());
  stack->controller.stop(SIGTERM);
  stack->startController();
  stack->waitForAgent(true);
  Uuid zone;
  zone.bytes[15] = 1;
  auto find = stack->client().findRequest();
  find.setZone(zone.data());
  EXPECT_EQ(find.send().wait(waitScope()).getAttachments().size(), 1u);
}

// Enough of them for the store to fold its log into the database, under the sandbox.
TEST_F(NetworkTest, ManyZonesComeAndGo) {
  auto network = stack->client();
  for (uint16_t i = 1; i <= 500; ++i) {
    Uuid zone;
    zone.bytes[14] = static_cast<kj::byte>(i >> 8);
    zone.bytes[15] = static_cast<kj::byte>(i);
    auto request = network.attachRequest();
    request.setZone(zone.data());
    request.send().wait(waitScope());
  }
  auto status = network.statusRequest().send().wait(waitScope());
  EXPECT_EQ(status.getStatus().getUsed(), 500u);
  EXPECT_EQ(network.retainRequest().send().wait(waitScope()).getReleased(), 500u);
}

TEST_F(NetworkTest, LinksOutliveTheAgentAndTheNextOneTakesThemOver) {
  TestZone zone, late;
  auto attachment = stack->bringUp(zone, 1, 7);
  stack->hideAgentSocket();
  stack->agent.stop(SIGKILL);
  EXPECT_TRUE(zone.pings("169.254.1.1"));
  stack->waitForAgent(false);

  // What is connected meanwhile is there when the agent is.
  auto second = stack->attach(2);
  stack->learn(late, second.planRequest().send().wait(waitScope()).getPlan());
  auto request = second.connectRequest();
  request.setDomid(8);
  EXPECT_EQ(codeOf(request.send().ignoreResult()), FailureCode::UNREACHABLE);
  EXPECT_EQ(codeOf(attachment.statisticsRequest().send().ignoreResult()), FailureCode::UNREACHABLE);
  stack->plug(late, "vif8.0");

  stack->showAgentSocket();
  stack->startAgent();
  stack->waitForAgent(true);
  EXPECT_TRUE(zone.pings("169.254.1.1"));
  EXPECT_TRUE(zone.pings("fe80::1%eth0", "ping6"));
  stack->driver.mustRun("ip link show vif8.0 up | grep -q UP");
  stack->droppedSpoofed(attachment);
}

TEST_F(SpoofTest, TheFilterHoldsWithoutTheAgent) {
  stack->agent.stop(SIGKILL);
  auto lie = honest;
  lie.mac = kForeignMac;
  EXPECT_FALSE(isAnswered(lie.echo(zone->v4, ip("169.254.1.1"), 1)));
  stack->startAgent();
  EXPECT_FALSE(isAnswered(lie.echo(zone->v4, ip("169.254.1.1"), 2)));
  stack->waitForAgent(true);
  expectDropped(lie.echo(zone->v4, ip("169.254.1.1"), 3));
}

TEST_F(SpoofTest, AForeignAddressIsDropped) {
  EXPECT_TRUE(isAnswered(honest.echo(zone->v4, ip("169.254.1.1"), 1)));
  expectDropped(honest.echo(ip("10.75.0.99"), ip("169.254.1.1"), 2));
  expectDropped(honest.echo(ip("192.0.2.1"), ip("169.254.1.1"), 3));
  expectDropped(honest.echo(ip("127.0.0.1"), ip("169.254.1.1"), 4));
  EXPECT_TRUE(isAnswered(honest.echo(linkLocal(zone->mac), ip("fe80::1"), 5)));
  expectDropped(honest.echo(ip("fdd4:1476:6c7e::99"), ip("fe80::1"), 6));
  expectDropped(honest.echo(ip("fe80::99"), ip("fe80::1"), 7));
}

TEST_F(SpoofTest, AForeignMacIsDropped) {
  auto lie = honest;
  lie.mac = kForeignMac;
  expectDropped(lie.echo(zone->v4, ip("169.254.1.1"), 1));
  expectDropped(lie.echo(zone->v6, ip("fe80::1"), 2));
}

TEST_F(SpoofTest, AForeignArpSenderIsDropped) {
  auto gateway = ip("169.254.1.1");
  EXPECT_TRUE(isAnswered(honest.arpRequest(zone->mac, zone->v4, gateway)));
  expectDropped(honest.arpRequest(zone->mac, ip("10.75.0.99"), gateway));
  expectDropped(honest.arpRequest(kForeignMac, zone->v4, gateway));
  auto lie = honest;
  lie.mac = kForeignMac;
  expectDropped(lie.arpRequest(zone->mac, zone->v4, gateway));
  // Not even an honest sender learns who else there is.
  expectDropped(honest.arpRequest(zone->mac, zone->v4, ip("10.75.0.2")));
}

TEST_F(SpoofTest, SpecialDestinationsAndOtherProtocolsAreDropped) {
  expectDropped(honest.echo(zone->v4, ip("169.254.169.254"), 1));
  expectDropped(honest.echo(zone->v4, ip("127.0.0.1"), 2));
  expectDropped(honest.echo(zone->v4, ip("224.0.0.1"), 3));
  expectDropped(honest.echo(zone->v4, ip("255.255.255.255"), 4));
  expectDropped(honest.echo(zone->v6, ip("fd00:ec2::254"), 5));
  expectDropped(honest.echo(zone->v6, ip("ff02::2"), 6));
  kj::byte nothing[46]{};
  expectDropped(honest.raw(0x88cc, nothing));
}

TEST_F(SpoofTest, ReleasedLinksAreSilent) {
  KJ_ASSERT_NONNULL(attachment).releaseRequest().send().wait(waitScope());
  stack->driver.mustRun("! ip link show vif7.0 up | grep -q UP");
  EXPECT_FALSE(zone->pings("169.254.1.1"));
  // A second time changes nothing.
  KJ_ASSERT_NONNULL(attachment).releaseRequest().send().wait(waitScope());
  EXPECT_EQ(codeOf(KJ_ASSERT_NONNULL(attachment).planRequest().send().ignoreResult()),
            FailureCode::NOT_FOUND);
  auto again = stack->attach(1).planRequest().send().wait(waitScope());
  EXPECT_EQ(again.getPlan().getIndex(), 1u);
}

TEST_F(NetworkTest, OnlyWhatIsKeptSurvivesRetain) {
  TestZone zone;
  stack->bringUp(zone, 1, 7);
  stack->attach(2);
  stack->attach(3);
  Uuid kept;
  kept.bytes[15] = 2;
  auto request = stack->client().retainRequest();
  request.initZones(1).set(0, kept.data());
  EXPECT_EQ(request.send().wait(waitScope()).getReleased(), 2u);
  EXPECT_FALSE(zone.pings("169.254.1.1"));
  auto status = stack->client().statusRequest().send().wait(waitScope());
  EXPECT_EQ(status.getStatus().getUsed(), 1u);
}

TEST_F(NetworkTest, TheDaemonsHoldNoMoreThanTheyNeed) {
#ifdef BULKHEAD_SANITIZED
  GTEST_SKIP() << "builds with sanitizers load no filter";
#endif
  EXPECT_EQ(stack->agent.status("Seccomp"), "2");
  EXPECT_EQ(stack->agent.status("NoNewPrivs"), "1");
  EXPECT_EQ(stack->agent.status("CapEff"), "0000000000001000");
  EXPECT_EQ(stack->agent.status("CapPrm"), "0000000000001000");
  EXPECT_EQ(stack->agent.status("CapInh"), "0000000000000000");
  EXPECT_EQ(stack->controller.status("Seccomp"), "2");
  EXPECT_EQ(stack->controller.status("NoNewPrivs"), "1");
  EXPECT_EQ(stack->controller.status("CapPrm"), "0000000000000000");
}

TEST_F(NetworkTest, WhatIsNotServedSaysSo) {
  EXPECT_EQ(codeOf(stack->client().reserveRequest().send().ignoreResult()),
            FailureCode::UNSUPPORTED);
  EXPECT_EQ(codeOf(stack->client().publishRequest().send().ignoreResult()),
            FailureCode::UNSUPPORTED);
}

TEST_F(NetworkTest, WrongRequestsAreRefused) {
  auto request = stack->client().attachRequest();
  kj::byte three[3]{};
  request.setZone(kj::arrayPtr(three, 3));
  EXPECT_EQ(codeOf(request.send().ignoreResult()), FailureCode::INVALID);
  for (uint32_t domid : {0u, 0x7ff0u, 0xffffffffu}) {
    auto connect = stack->attach(1).connectRequest();
    connect.setDomid(domid);
    EXPECT_EQ(codeOf(connect.send().ignoreResult()), FailureCode::INVALID);
  }
}

}  // namespace
}  // namespace bulkhead::net
