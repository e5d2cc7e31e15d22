// SPDX-License-Identifier: Apache-2.0
//
// The broker with the real link process: idmd-link under its own sandbox, over a ring in plain
// memory and a socket in the place of the event channel. Only Xen itself is missing.
#include "idmd/router.h"

#include <capnp/rpc-twoparty.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "idmd/ring/ring-stream.h"
#include "idmd/ring/ring-testing.h"
#include "services/runtime/failure.h"
#include "services/runtime/files.h"

namespace bulkhead {
namespace {

// Started the way the service manager starts it: its connection as the one passed descriptor.
struct LinkProcess {
  pid_t pid;
  kj::AutoCloseFd socket;

  static LinkProcess start() {
    int fds[2];
    KJ_SYSCALL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
    pid_t child = fork();
    KJ_ASSERT(child >= 0);
    if (child == 0) {
      if (fds[1] == 3) {
        fcntl(3, F_SETFD, 0);
      } else {
        dup2(fds[1], 3);
      }
      setenv("LISTEN_FDS", "1", 1);
      setenv("LISTEN_FDNAMES", "connection", 1);
      setenv("LISTEN_PID", std::to_string(getpid()).c_str(), 1);
      execl(IDMD_LINK, "idmd-link", nullptr);
      _exit(127);
    }
    close(fds[1]);
    return {child, kj::AutoCloseFd(fds[0])};
  }
};

// A zone in this process: the guest's end of a ring.
struct TestZone {
  ring::TestMemory memory;
  ring::TestEvents events;

  kj::Own<ring::RingStream> guestStream(kj::AsyncIoContext& io) {
    return kj::heap<ring::RingStream>(
        memory.map(), ring::Side::guest,
        ring::openEventChannel(io.unixEventPort, kj::mv(events.guest), 1), io.provider->getTimer());
  }
};

class TestDevices final : public ring::RingDevices {
 public:
  TestZone* zone = nullptr;
  uint32_t binds = 0;

  ring::BoundPort bind(uint32_t, uint32_t) override {
    ++binds;
    return {duplicate(KJ_ASSERT_NONNULL(kj::Maybe<TestZone&>(*zone)).events.host), 1};
  }
  ring::GrantMapping prepare(uint32_t, uint32_t, uint32_t) override {
    return {duplicate(zone->memory.descriptor()), 0, ring::kMaxPages};
  }
};

const Uuid kZone = Uuid::random();
constexpr size_t kBulk = 1u << 20;

kj::Array<kj::byte> pattern(size_t size) {
  auto result = kj::heapArray<kj::byte>(size);
  for (size_t i = 0; i < size; ++i) result[i] = ring::patternAt(i);
  return result;
}

class CollectingStream final : public schema::ByteStream::Server {
 public:
  CollectingStream(kj::Vector<kj::byte>& bytes, bool& ended) : bytes(bytes), ended(ended) {}
  kj::Promise<void> write(WriteContext context) override {
    bytes.addAll(context.getParams().getBytes());
    return kj::READY_NOW;
  }
  kj::Promise<void> end(EndContext) override {
    ended = true;
    return kj::READY_NOW;
  }

 private:
  kj::Vector<kj::byte>& bytes;
  bool& ended;
};

// An agent whose kernel events are a pattern of kBulk bytes.
class TestAgent final : public schema::ZoneAgent::Server {
 public:
  kj::Promise<void> info(InfoContext context) override {
    context.getResults().initInfo().setAgentVersion("test");
    return kj::READY_NOW;
  }
  kj::Promise<void> watchKernelEvents(WatchKernelEventsContext context) override {
    auto sink = context.getParams().getSink();
    auto bytes = pattern(kBulk);
    for (size_t at = 0; at < bytes.size(); at += 60000) {
      auto request = sink.writeRequest();
      request.setBytes(bytes.slice(at, kj::min(at + 60000, bytes.size())));
      co_await request.send();
    }
    co_await sink.endRequest().send();
  }
};

class RouterTest : public testing::Test {
 protected:
  RouterTest()
      : log("router-test"),
        router(kj::heap<RouterServer>(
            devices,
            [this]() {
              auto process = LinkProcess::start();
              processes.add(process.pid);
              return kj::heap<Connection>(
                  io.lowLevelProvider->wrapUnixSocketFd(kj::mv(process.socket)),
                  ConnectionLimits{});
            },
            io.provider->getTimer(), log)) {
    devices.zone = &zone;
  }
  ~RouterTest() noexcept override {
    for (pid_t pid : processes) {
      kill(pid, SIGKILL);
      waitpid(pid, nullptr, 0);
    }
    // Calls that may not be cancelled end now that their process did, and before the loop does.
    io.waitScope.poll();
  }

  kj::AsyncIoContext io = kj::setupAsyncIo();
  Log log;
  TestZone zone;
  TestDevices devices;
  kj::Vector<pid_t> processes;
  schema::Router::Client router;
  kj::Own<ring::RingStream> guest;
  kj::Own<capnp::TwoPartyServer> agentServer;
  kj::Promise<void> serving = nullptr;

  void serveAgent() {
    guest = zone.guestStream(io);
    agentServer = kj::heap<capnp::TwoPartyServer>(kj::heap<TestAgent>());
    serving = agentServer->accept(*guest).eagerlyEvaluate(nullptr);
  }

  kj::Promise<schema::Link::Client> attach(uint32_t domid = 5, uint32_t port = 7) {
    auto request = router.attachRequest();
    request.setZone(kZone.data());
    auto offer = request.initOffer();
    offer.setDomid(domid);
    offer.setGref(8);
    offer.setEventPort(port);
    offer.setEpoch(1);
    return request.send().then([](auto response) { return response.getLink(); });
  }

  schema::Link::Client attached() {
    serveAgent();
    return attach().wait(io.waitScope);
  }

  // The exit of the last link process; the test's own time limit is what a hang meets.
  int exitStatus() {
    int status = 0;
    waitpid(processes.back(), &status, 0);
    processes.removeLast();
    return status;
  }

  kj::Promise<void> kernelEvents(schema::Link::Client link, schema::ByteStream::Client sink) {
    auto agent = link.agentRequest().send().getAgent();
    auto request = agent.watchKernelEventsRequest();
    request.setSink(kj::mv(sink));
    return request.send().ignoreResult();
  }

  schema::ByteStream::Client writerTo(schema::Link::Client link, kj::AutoCloseFd fd) {
    auto request = link.writerRequest();
    request.setFile(makeFile(kj::mv(fd)));
    return request.send().getStream();
  }

  kj::Promise<void> pump(schema::Link::Client link, kj::AutoCloseFd fd,
                         schema::ByteStream::Client into) {
    auto request = link.pumpRequest();
    request.setFile(makeFile(kj::mv(fd)));
    request.setInto(kj::mv(into));
    return request.send().ignoreResult();
  }

  FailureCode codeOf(kj::Promise<void> promise) {
    try {
      promise.wait(io.waitScope);
    } catch (...) {
      return failureOf(kj::getCaughtExceptionAsKj()).code;
    }
    ADD_FAILURE() << "nothing failed";
    return FailureCode::INTERNAL;
  }
};

struct PipeEnds {
  kj::AutoCloseFd reader;
  kj::AutoCloseFd writer;

  PipeEnds() {
    int fds[2];
    KJ_SYSCALL(pipe2(fds, O_CLOEXEC));
    reader = kj::AutoCloseFd(fds[0]);
    writer = kj::AutoCloseFd(fds[1]);
  }
};

TEST_F(RouterTest, TheAgentIsReachedThroughTheLink) {
  auto link = attached();
  auto agent = link.agentRequest().send().getAgent();
  auto info = agent.infoRequest().send().wait(io.waitScope);
  EXPECT_EQ(kj::StringPtr(info.getInfo().getAgentVersion()), "test");
}

TEST_F(RouterTest, TheLinkProcessIsConfined) {
  auto link = attached();
  auto path = kj::str("/proc/", processes.back(), "/status");
  int fd = open(path.cStr(), O_RDONLY | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  char text[8192] = {};
  ASSERT_GT(read(fd, text, sizeof text - 1), 0);
  close(fd);
  EXPECT_NE(strstr(text, "NoNewPrivs:\t1"), nullptr);
#ifndef BULKHEAD_SANITIZED
  EXPECT_NE(strstr(text, "Seccomp:\t2"), nullptr);
#endif
  EXPECT_NE(strstr(text, "CapEff:\t0000000000000000"), nullptr);
}

TEST_F(RouterTest, OutputGoesToTheClientsPipe) {
  auto link = attached();
  PipeEnds pipe;
  auto stream = writerTo(link, duplicate(pipe.writer));
  int flags = fcntl(pipe.writer, F_GETFL);
  pipe.writer = nullptr;
  auto events = kernelEvents(link, kj::mv(stream));
  auto keep = duplicate(pipe.reader);
  auto in = io.lowLevelProvider->wrapInputFd(kj::mv(pipe.reader));
  auto bytes = in->readAllBytes().wait(io.waitScope);
  events.wait(io.waitScope);
  EXPECT_TRUE(bytes == pattern(kBulk));
  EXPECT_EQ(flags & O_NONBLOCK, 0);
}

TEST_F(RouterTest, TheClientsDescriptorKeepsItsFlags) {
  auto link = attached();
  PipeEnds pipe;
  auto stream = writerTo(link, duplicate(pipe.writer));
  auto request = stream.writeRequest();
  request.setBytes(kj::StringPtr("x").asBytes());
  request.send().wait(io.waitScope);
  stream.endRequest().send().wait(io.waitScope);
  EXPECT_EQ(fcntl(pipe.writer, F_GETFL) & O_NONBLOCK, 0);
}

TEST_F(RouterTest, OutputGoesToAFile) {
  auto link = attached();
  int raw;
  KJ_SYSCALL(raw = memfd_create("output", MFD_CLOEXEC));
  kj::AutoCloseFd file(raw);
  kernelEvents(link, writerTo(link, duplicate(file))).wait(io.waitScope);
  auto got = kj::heapArray<kj::byte>(kBulk + 1);
  EXPECT_EQ(pread(file, got.begin(), got.size(), 0), static_cast<ssize_t>(kBulk));
  EXPECT_TRUE(got.slice(0, kBulk) == pattern(kBulk));
}

TEST_F(RouterTest, OutputGoesToNowhere) {
  auto link = attached();
  int raw;
  KJ_SYSCALL(raw = open("/dev/null", O_WRONLY | O_CLOEXEC));
  kernelEvents(link, writerTo(link, kj::AutoCloseFd(raw))).wait(io.waitScope);
}

TEST_F(RouterTest, OutputGoesToATerminal) {
  auto link = attached();
  int master;
  int slave;
  ASSERT_EQ(openpty(&master, &slave, nullptr, nullptr, nullptr), 0);
  auto stream = writerTo(link, kj::AutoCloseFd(slave));
  auto in = io.lowLevelProvider->wrapInputFd(kj::AutoCloseFd(master));
  auto line = kj::heapString(20000);
  memset(line.begin(), 'a', line.size());
  auto request = stream.writeRequest();
  request.setBytes(line.asBytes());
  auto writing = request.send();
  auto got = kj::heapArray<kj::byte>(line.size());
  in->read(got.begin(), got.size()).wait(io.waitScope);
  writing.wait(io.waitScope);
  EXPECT_TRUE(got == line.asBytes());
}

TEST_F(RouterTest, AReaderThatWentAwayFailsTheStream) {
  auto link = attached();
  PipeEnds pipe;
  auto stream = writerTo(link, kj::mv(pipe.writer));
  pipe.reader = nullptr;
  EXPECT_EQ(codeOf(kernelEvents(link, kj::mv(stream))), FailureCode::CANCELLED);
  // The link itself is well.
  link.agentRequest().send().getAgent().infoRequest().send().wait(io.waitScope);
}

TEST_F(RouterTest, ASlowReaderHoldsUpNobodyElse) {
  auto link = attached();
  PipeEnds pipe;
  auto events = kernelEvents(link, writerTo(link, kj::mv(pipe.writer)));
  EXPECT_FALSE(events.poll(io.waitScope));
  for (int i = 0; i < 10; ++i) {
    link.agentRequest().send().getAgent().infoRequest().send().wait(io.waitScope);
  }
  EXPECT_FALSE(events.poll(io.waitScope));
  auto in = io.lowLevelProvider->wrapInputFd(kj::mv(pipe.reader));
  EXPECT_EQ(in->readAllBytes().wait(io.waitScope).size(), kBulk);
  events.wait(io.waitScope);
}

TEST_F(RouterTest, InputIsPumpedToItsEnd) {
  auto link = attached();
  for (bool regular : {true, false}) {
    kj::Vector<kj::byte> got;
    bool ended = false;
    auto sink = kj::heap<CollectingStream>(got, ended);
    auto bytes = pattern(300000);
    kj::AutoCloseFd source;
    kj::Promise<void> feeding = kj::READY_NOW;
    if (regular) {
      int raw;
      KJ_SYSCALL(raw = memfd_create("input", MFD_CLOEXEC));
      source = kj::AutoCloseFd(raw);
      kj::FdOutputStream(source.get()).write(bytes.begin(), bytes.size());
      KJ_SYSCALL(lseek(source, 0, SEEK_SET));
    } else {
      PipeEnds pipe;
      source = kj::mv(pipe.reader);
      auto out = io.lowLevelProvider->wrapOutputFd(kj::mv(pipe.writer));
      feeding =
          out->write(bytes.begin(), bytes.size()).attach(kj::mv(out)).eagerlyEvaluate(nullptr);
    }
    pump(link, kj::mv(source), kj::mv(sink)).wait(io.waitScope);
    feeding.wait(io.waitScope);
    EXPECT_TRUE(ended);
    EXPECT_TRUE(got.asPtr() == bytes.asPtr()) << regular;
  }
}

TEST_F(RouterTest, NoInputEndsAtOnce) {
  auto link = attached();
  kj::Vector<kj::byte> got;
  bool ended = false;
  int raw;
  KJ_SYSCALL(raw = open("/dev/null", O_RDONLY | O_CLOEXEC));
  pump(link, kj::AutoCloseFd(raw), kj::heap<CollectingStream>(got, ended)).wait(io.waitScope);
  EXPECT_TRUE(ended);
  EXPECT_EQ(got.size(), 0u);
}

TEST_F(RouterTest, ADroppedPumpLeavesTheRestOfTheInput) {
  auto link = attached();
  kj::Vector<kj::byte> got;
  bool ended = false;
  PipeEnds pipe;
  {
    auto pumping = pump(link, duplicate(pipe.reader), kj::heap<CollectingStream>(got, ended));
    EXPECT_FALSE(pumping.poll(io.waitScope));
    // Shows that the pump has begun before it is dropped.
    KJ_SYSCALL(write(pipe.writer, "a", 1));
    while (got.size() == 0) {
      EXPECT_FALSE(pumping.poll(io.waitScope));
      link.agentRequest().send().getAgent().infoRequest().send().wait(io.waitScope);
    }
  }
  // A later call is answered after the end of the earlier one was heard.
  link.agentRequest().send().getAgent().infoRequest().send().wait(io.waitScope);
  KJ_SYSCALL(write(pipe.writer, "rest", 4));
  link.agentRequest().send().getAgent().infoRequest().send().wait(io.waitScope);
  char text[8] = {};
  EXPECT_EQ(read(pipe.reader, text, sizeof text), 4);
  EXPECT_STREQ(text, "rest");
}

TEST_F(RouterTest, DroppingTheLinkEndsItsProcess) {
  auto gone = [&]() {
    auto link = attached();
    return guest->whenWriteDisconnected();
  }();
  gone.wait(io.waitScope);
  int status = exitStatus();
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

TEST_F(RouterTest, AZoneThatLeavesClosesItsLink) {
  auto link = attached();
  auto closed = link.whenClosedRequest().send();
  EXPECT_FALSE(closed.poll(io.waitScope));
  serving = nullptr;
  guest = nullptr;
  closed.wait(io.waitScope);
  auto call = link.agentRequest().send().ignoreResult();
  EXPECT_ANY_THROW(call.wait(io.waitScope));
}

TEST_F(RouterTest, AZoneThatBreaksItsRingClosesItsLink) {
  auto link = attached();
  auto agent = link.agentRequest().send().wait(io.waitScope).getAgent();
  agent.infoRequest().send().wait(io.waitScope);
  auto closed = link.whenClosedRequest().send();
  // An honest end would set its index right again with its next byte.
  serving = nullptr;
  auto pages = zone.memory.map();
  auto& control = *reinterpret_cast<ring::ControlPage*>(pages.bytes().begin());
  control.toHost.producer.produced = 0x70000000;
  // No event says so: the look that follows any traffic finds it.
  closed.wait(io.waitScope);
  EXPECT_ANY_THROW(agent.infoRequest().send().wait(io.waitScope));
}

TEST_F(RouterTest, AKilledLinkProcessClosesItsLink) {
  auto link = attached();
  auto closed = link.whenClosedRequest().send();
  auto agent = link.agentRequest().send().getAgent();
  agent.infoRequest().send().wait(io.waitScope);
  kill(processes.back(), SIGKILL);
  closed.wait(io.waitScope);
  EXPECT_ANY_THROW(agent.infoRequest().send().wait(io.waitScope));
}

TEST_F(RouterTest, ANewOfferReplacesTheEarlierLink) {
  auto first = attached();
  auto closed = first.whenClosedRequest().send();
  TestZone again;
  devices.zone = &again;
  serving = nullptr;
  auto old = kj::mv(guest);
  zone.events = ring::TestEvents();
  guest = again.guestStream(io);
  serving = agentServer->accept(*guest).eagerlyEvaluate(nullptr);
  auto second = attach().wait(io.waitScope);
  closed.wait(io.waitScope);
  EXPECT_ANY_THROW(first.agentRequest().send().wait(io.waitScope));
  second.agentRequest().send().getAgent().infoRequest().send().wait(io.waitScope);
  // The first link, when it goes, takes nothing of the second with it.
  {
    auto dropped = kj::mv(first);
  }
  second.agentRequest().send().getAgent().infoRequest().send().wait(io.waitScope);
}

TEST_F(RouterTest, ImpossibleOffersTouchNoDevice) {
  EXPECT_EQ(codeOf(attach(0).ignoreResult()), FailureCode::INVALID);
  EXPECT_EQ(codeOf(attach(0x7ff0).ignoreResult()), FailureCode::INVALID);
  EXPECT_EQ(codeOf(attach(5, 0).ignoreResult()), FailureCode::INVALID);
  auto request = router.attachRequest();
  request.setZone(kZone.data().slice(0, 3));
  EXPECT_EQ(codeOf(request.send().ignoreResult()), FailureCode::INVALID);
  EXPECT_EQ(devices.binds, 0u);
}

TEST_F(RouterTest, WithoutALinkProcessTheZoneIsUnreachable) {
  schema::Router::Client alone = kj::heap<RouterServer>(
      devices, []() -> kj::Own<Connection> { KJ_FAIL_REQUIRE("nobody listens"); },
      io.provider->getTimer(), log);
  auto request = alone.attachRequest();
  request.setZone(kZone.data());
  request.initOffer().setDomid(3);
  request.getOffer().setEventPort(4);
  EXPECT_EQ(codeOf(request.send().ignoreResult()), FailureCode::UNREACHABLE);
}

// I11: whatever bytes a zone sends, its link process ends or lives, and never crashes.
TEST_F(RouterTest, I11NoiseOnTheRingIsSurvived) {
  constexpr uint64_t kSeed = 7;
  ring::Numbers numbers(kSeed);
  for (int round = 0; round < 30; ++round) {
    TestZone noisy;
    devices.zone = &noisy;
    auto stream = noisy.guestStream(io);
    {
      auto link = attach().wait(io.waitScope);
      auto closed = link.whenClosedRequest().send();
      auto call = link.agentRequest().send().getAgent().infoRequest().send();
      auto noise = kj::heapArray<uint64_t>(4096);
      for (auto& word : noise) word = round % 2 == 0 ? numbers.next() : numbers.below(64);
      if (round % 3 == 0)
        noise[0] = 4095ull << 32;  // a message of one segment, as long as it claims
      auto writing =
          stream->write(noise.begin(), noise.size() * sizeof noise[0]).catch_([](kj::Exception&&) {
          });
      // Most noise ends the conversation; some is a message that is still incomplete.
      closed.ignoreResult()
          .exclusiveJoin(io.provider->getTimer().afterDelay(20 * kj::MILLISECONDS))
          .wait(io.waitScope);
    }
    int status = exitStatus();
    ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << round << ": " << status;
  }
}

}  // namespace
}  // namespace bulkhead
