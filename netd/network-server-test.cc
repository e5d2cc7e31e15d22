// SPDX-License-Identifier: Apache-2.0
// The controller against an agent that lives in the same process: what it tells it, and when.
#include "netd/network-server.h"

#include <gtest/gtest.h>
#include <kj/async-io.h>
#include <stdlib.h>
#include <unistd.h>

#include <kj/debug.h>

#include "services/runtime/failure.h"

namespace bulkhead::net {
namespace {

// Remembers what it was asked; answers at once.
class RecordingAgent final : public schema::LinkAgent::Server {
 public:
  explicit RecordingAgent(kj::Vector<kj::String>& calls) : calls(calls) {}

  kj::Promise<void> synchronize(SynchronizeContext call) override {
    kj::Vector<kj::String> links;
    for (auto link : call.getParams().getLinks()) links.add(describe(link));
    calls.add(kj::str("synchronize ", kj::strArray(links, ", ")));
    return kj::READY_NOW;
  }
  kj::Promise<void> configure(ConfigureContext call) override {
    calls.add(kj::str("configure ", describe(call.getParams().getLink())));
    return kj::READY_NOW;
  }
  kj::Promise<void> remove(RemoveContext call) override {
    auto params = call.getParams();
    calls.add(kj::str("remove ", params.getDomid(), '.', params.getIndex()));
    return kj::READY_NOW;
  }

 private:
  kj::Vector<kj::String>& calls;

  static kj::String describe(schema::LinkPlan::Reader link) {
    return kj::str(link.getDomid(), '.', link.getIndex(), '=', link.getAddresses()[0]);
  }
};

class NetworkServerTest : public testing::Test {
 public:
  ~NetworkServerTest() noexcept override {}

 protected:
  kj::AsyncIoContext io = kj::setupAsyncIo();
  Log log{"test"};
  char directory[32] = "/tmp/bulkhead-net-XXXXXX";
  kj::Vector<kj::String> calls;
  Config config = Config::defaults();
  kj::Own<AddressBook> book;
  kj::Own<AgentChannel> channel;
  kj::Own<Connection> agentEnd;
  kj::Promise<void> running = nullptr;
  bool listening = true;
  kj::Maybe<schema::Network::Client> server;

  void SetUp() override {
    KJ_ASSERT(mkdtemp(directory) != nullptr);
    config.nameservers.add(KJ_ASSERT_NONNULL(IpAddress::parse("192.0.2.53")));
    book = kj::heap<AddressBook>(directory, config.ranges);
    channel = kj::heap<AgentChannel>(io.provider->getTimer(), log, *book,
                                     [this]() { return connectAgent(); });
    running = channel->run().eagerlyEvaluate(nullptr);
    server =
        schema::Network::Client(kj::heap<NetworkServer>(NetworkContext{*book, *channel, config}));
  }
  void TearDown() override {
    server = nullptr;
    running = nullptr;
    channel = nullptr;
    agentEnd = nullptr;
    book = nullptr;
    unlink(kj::str(directory, "/addresses.db").cStr());
    unlink(kj::str(directory, "/addresses.db-wal").cStr());
    rmdir(directory);
  }

  kj::Own<Connection> connectAgent() {
    if (!listening) {
      kj::throwFatalException(KJ_EXCEPTION(DISCONNECTED, "nobody listens"));
    }
    auto pipe = io.provider->newCapabilityPipe();
    agentEnd = kj::heap<Connection>(kj::mv(pipe.ends[0]), ConnectionLimits{},
                                    kj::heap<RecordingAgent>(calls));
    return kj::heap<Connection>(kj::mv(pipe.ends[1]), ConnectionLimits{});
  }

  schema::Network::Client& network() { return KJ_ASSERT_NONNULL(server); }

  schema::Attachment::Client attach(kj::byte number) {
    Uuid zone;
    zone.bytes[0] = number;
    auto request = network().attachRequest();
    request.setZone(zone.data());
    return request.send().wait(io.waitScope).getAttachment();
  }
  kj::Promise<void> connect(schema::Attachment::Client& attachment, uint32_t domid) {
    auto request = attachment.connectRequest();
    request.setDomid(domid);
    return request.send().ignoreResult();
  }
  FailureCode codeOf(kj::Promise<void> promise) {
    return promise
        .then([]() -> FailureCode { KJ_FAIL_REQUIRE("no failure"); },
              [](kj::Exception&& e) { return failureOf(e).code; })
        .wait(io.waitScope);
  }
  void waitForAgent(bool connected) {
    while (channel->connected() != connected) {
      io.provider->getTimer().afterDelay(kj::MILLISECONDS).wait(io.waitScope);
    }
  }
  kj::String told() {
    auto text = kj::strArray(calls, "; ");
    calls.clear();
    return text;
  }
};

TEST_F(NetworkServerTest, APlanSaysAllAZoneNeeds) {
  auto attachment = attach(1);
  auto plan = attachment.planRequest().send().wait(io.waitScope);
  auto reader = plan.getPlan();
  EXPECT_EQ(reader.getAddresses()[0], "10.75.0.1/32");
  EXPECT_EQ(reader.getAddresses()[1], "fdd4:1476:6c7e::1/128");
  EXPECT_EQ(reader.getGateways()[0], "169.254.1.1");
  EXPECT_EQ(reader.getGateways()[1], "fe80::1");
  EXPECT_EQ(reader.getNameservers()[0], "192.0.2.53");
  EXPECT_EQ(reader.getMtu(), 1500u);
  EXPECT_EQ(reader.getBackendDomain(), 0u);
}

TEST_F(NetworkServerTest, TheAgentHearsOfEveryChange) {
  waitForAgent(true);
  auto attachment = attach(1);
  EXPECT_EQ(told(), "synchronize ");
  connect(attachment, 7).wait(io.waitScope);
  EXPECT_EQ(told(), "configure 7.0=10.75.0.1/32");
  // The zone's next domain: the former one's link goes.
  connect(attachment, 9).wait(io.waitScope);
  EXPECT_EQ(told(), "remove 7.0; configure 9.0=10.75.0.1/32");
  connect(attachment, 9).wait(io.waitScope);
  EXPECT_EQ(told(), "configure 9.0=10.75.0.1/32");
  attachment.releaseRequest().send().wait(io.waitScope);
  EXPECT_EQ(told(), "remove 9.0");
}

TEST_F(NetworkServerTest, AReturningAgentGetsTheWholePlan) {
  waitForAgent(true);
  auto first = attach(1);
  auto second = attach(2);
  attach(3);
  connect(first, 7).wait(io.waitScope);
  told();
  listening = false;
  agentEnd = nullptr;
  waitForAgent(false);
  EXPECT_EQ(codeOf(connect(second, 8)), FailureCode::UNREACHABLE);
  EXPECT_EQ(codeOf(second.statisticsRequest().send().ignoreResult()), FailureCode::UNREACHABLE);
  listening = true;
  waitForAgent(true);
  EXPECT_EQ(told(), "synchronize 7.0=10.75.0.1/32, 8.0=10.75.0.2/32");
}

TEST_F(NetworkServerTest, ReleaseWorksWithoutAnAgent) {
  waitForAgent(true);
  auto attachment = attach(1);
  connect(attachment, 7).wait(io.waitScope);
  told();
  listening = false;
  agentEnd = nullptr;
  waitForAgent(false);
  attachment.releaseRequest().send().wait(io.waitScope);
  listening = true;
  waitForAgent(true);
  EXPECT_EQ(told(), "synchronize ");
}

TEST_F(NetworkServerTest, StatisticsNeedADomain) {
  waitForAgent(true);
  EXPECT_EQ(codeOf(attach(1).statisticsRequest().send().ignoreResult()), FailureCode::BUSY);
}

TEST_F(NetworkServerTest, BadWishesAreRefused) {
  auto attachWith = [this](kj::Function<void(schema::AttachRequest::Builder)> wish) {
    Uuid zone;
    auto request = network().attachRequest();
    request.setZone(zone.data());
    wish(request.initRequest());
    return codeOf(request.send().ignoreResult());
  };
  EXPECT_EQ(attachWith([](auto wish) { wish.setWantedAddress("10.75.0.1\x1b[2J"); }),
            FailureCode::INVALID);
  EXPECT_EQ(attachWith([](auto wish) { wish.setWantedMac("zz"); }), FailureCode::INVALID);
  EXPECT_EQ(attachWith([](auto wish) { wish.setMtu(1279); }), FailureCode::INVALID);
}

}  // namespace
}  // namespace bulkhead::net
