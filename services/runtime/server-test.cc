// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <kj/debug.h>

#include "schemas/platform.capnp.h"
#include "services/runtime/failure.h"
#include "services/runtime/files.h"
#include "services/runtime/testing/listening-socket.h"

namespace bulkhead {
namespace {

class PlatformServer final : public schema::Platform::Server {
 public:
  kj::Promise<void> version(VersionContext context) override {
    context.getResults().setVersion("1.2.3");
    return kj::READY_NOW;
  }
  kj::Promise<void> session(SessionContext) override {
    fail(FailureCode::DENIED, "you", "no session", "ask the administrator");
  }
};

class ServerTest : public testing::Test {
 public:
  ~ServerTest() noexcept override {}

 protected:
  kj::AsyncIoContext io = kj::setupAsyncIo();
  Log log{"test"};
  kj::String path = kj::str("/tmp/bulkhead-server-test-", getpid(), ".sock");
  kj::Promise<void> server = nullptr;

  void listenAs(PeerPolicy policy, ConnectionLimits limits = {}) {
    unlink(path.cStr());
    auto fd = listenAt(path);
    server = serve(*io.lowLevelProvider, io.provider->getTimer(), kj::mv(fd), policy, limits, log,
                   [](const PeerIdentity&) -> capnp::Capability::Client {
                     return kj::heap<PlatformServer>();
                   })
                 .eagerlyEvaluate(nullptr);
  }
  void TearDown() override { unlink(path.cStr()); }

  bool answers(Connection& connection) {
    auto request = connection.bootstrap<schema::Platform>().versionRequest();
    return request.send()
        .then([](auto&& response) { return response.getVersion() == "1.2.3"; },
              [](kj::Exception&&) { return false; })
        .wait(io.waitScope);
  }
};

TEST_F(ServerTest, ServesThePeerItIsFor) {
  listenAs(PeerPolicy::only(geteuid()));
  auto connection = connectTo(*io.lowLevelProvider, path);
  EXPECT_TRUE(answers(*connection));
}

TEST_F(ServerTest, RefusesAnotherUser) {
  listenAs(PeerPolicy::only(geteuid() + 1));
  testing::internal::CaptureStderr();
  auto connection = connectTo(*io.lowLevelProvider, path);
  EXPECT_FALSE(answers(*connection));
  EXPECT_NE(testing::internal::GetCapturedStderr().find("refused a connection"), std::string::npos);
}

TEST_F(ServerTest, RefusesMoreConnectionsThanTheLimit) {
  ConnectionLimits limits;
  limits.connections = 2;
  listenAs(PeerPolicy::anyone(), limits);
  auto first = connectTo(*io.lowLevelProvider, path);
  auto second = connectTo(*io.lowLevelProvider, path);
  EXPECT_TRUE(answers(*first));
  EXPECT_TRUE(answers(*second));
  testing::internal::CaptureStderr();
  auto third = connectTo(*io.lowLevelProvider, path);
  EXPECT_FALSE(answers(*third));
  testing::internal::GetCapturedStderr();
  first = nullptr;
  // The place is free again once the server has seen the first one go.
  for (int i = 0; i < 100; ++i) {
    testing::internal::CaptureStderr();
    auto fourth = connectTo(*io.lowLevelProvider, path);
    bool answered = answers(*fourth);
    testing::internal::GetCapturedStderr();
    if (answered) return;
  }
  FAIL() << "the place of a closed connection was never given again";
}

TEST_F(ServerTest, APeerComesBackAfterNobodyListened) {
  auto run = kj::str("/tmp/bulkhead-server-test-", getpid());
  KJ_SYSCALL(mkdir(run.cStr(), 0700));
  KJ_SYSCALL(setenv("BULKHEAD_RUN", run.cStr(), 1));
  KJ_DEFER({
    unsetenv("BULKHEAD_RUN");
    unlink(path.cStr());
    rmdir(run.cStr());
  });
  path = kj::str(socketPath(Edge::platform));
  listenAs(PeerPolicy::anyone());
  Peer<schema::Platform> peer(*io.lowLevelProvider, Edge::platform);
  auto answers = [&]() {
    auto response = peer.get().versionRequest().send().wait(io.waitScope);
    return response.getVersion() == "1.2.3";
  };
  EXPECT_TRUE(answers());
  server = nullptr;
  unlink(path.cStr());
  peer.onDisconnect().wait(io.waitScope);
  EXPECT_THROW(peer.get(), kj::Exception);
  listenAs(PeerPolicy::anyone());
  EXPECT_TRUE(answers());
}

TEST_F(ServerTest, TypedFailuresCrossTheWire) {
  listenAs(PeerPolicy::anyone());
  auto connection = connectTo(*io.lowLevelProvider, path);
  auto request = connection->bootstrap<schema::Platform>().sessionRequest();
  auto found = request.send()
                   .then([](auto&&) { return failure(FailureCode::INTERNAL, "", "no failure"); },
                         [](kj::Exception&& e) { return failureOf(e); })
                   .wait(io.waitScope);
  EXPECT_EQ(found.code, FailureCode::DENIED);
  EXPECT_EQ(found.hint, "ask the administrator");
}

TEST_F(ServerTest, NobodyListeningIsDisconnected) {
  try {
    auto connection = connectTo(*io.lowLevelProvider, "/nonexistent/socket");
    FAIL();
  } catch (const kj::Exception& e) {
    EXPECT_EQ(e.getType(), kj::Exception::Type::DISCONNECTED);
  }
}

TEST_F(ServerTest, FilesCarryDescriptors) {
  auto ends = kj::newTwoWayPipe();
  int raw;
  KJ_SYSCALL(raw = open("/dev/null", O_RDONLY | O_CLOEXEC));
  auto fd = takeFd(makeFile(kj::AutoCloseFd(raw)), "null").wait(io.waitScope);
  EXPECT_GE(fd.get(), 0);
  EXPECT_TRUE((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_F(ServerTest, TheTableNamesEveryEdgeOnce) {
  for (size_t i = 0; i < edges().size(); ++i) {
    EXPECT_EQ(static_cast<size_t>(edges()[i].edge), i);
  }
  EXPECT_EQ(info(Edge::netAgent).server, "netd-agent");
  setenv("BULKHEAD_RUN", "/tmp/x", 1);
  EXPECT_EQ(socketPath(Edge::hypervisor), "/tmp/x/hvd.sock");
  unsetenv("BULKHEAD_RUN");
}

}  // namespace
}  // namespace bulkhead
