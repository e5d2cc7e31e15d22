// SPDX-License-Identifier: Apache-2.0
// The real hvd on the real hypervisor. Runs as root in dom0 and starts the hvd named by
// BULKHEAD_TEST_HVD; guests boot BULKHEAD_TEST_KERNEL and BULKHEAD_TEST_INITRD, whose init prints
// "guest: ready" and obeys test=... on the command line (hvd/hvd-xen-test-init).
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include <gtest/gtest.h>
#include <kj/async-io.h>
#include <kj/debug.h>

#include "hvd/xenstore-client.h"
#include "schemas/hypervisor.capnp.h"
#include "services/runtime/connection.h"
#include "services/runtime/failure.h"
#include "services/runtime/files.h"
#include "services/runtime/unix-address.h"
#include "services/runtime/uuid.h"

namespace bulkhead::hvd {
namespace {

constexpr kj::StringPtr kXenstored = "/run/xenstored/socket"_kj;

std::string variable(const char* name) {
  const char* value = getenv(name);
  KJ_REQUIRE(value != nullptr, "set it", name);
  return value;
}

kj::AutoCloseFd openFile(const std::string& path, int flags = O_RDONLY) {
  int fd;
  KJ_SYSCALL(fd = open(path.c_str(), flags | O_CLOEXEC, 0600), path);
  return kj::AutoCloseFd(fd);
}

kj::AutoCloseFd connectUnix(kj::StringPtr path) {
  int fd;
  KJ_SYSCALL(fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  kj::AutoCloseFd owned(fd);
  auto address = unixAddress(path);
  KJ_SYSCALL(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), path);
  return owned;
}

// Collects what a console says and lets a test wait for a piece of text.
class Collector final : public schema::ByteStream::Server {
 public:
  kj::Promise<void> write(WriteContext context) override {
    auto bytes = context.getParams().getBytes();
    text.append(bytes.asChars().begin(), bytes.size());
    check();
    return kj::READY_NOW;
  }
  kj::Promise<void> end(EndContext) override { return kj::READY_NOW; }

  kj::Promise<void> whenSaid(std::string wanted) {
    auto paf = kj::newPromiseAndFulfiller<void>();
    pattern = kj::mv(wanted);
    fulfiller = kj::mv(paf.fulfiller);
    check();
    return kj::mv(paf.promise);
  }

  std::string text;

 private:
  std::string pattern;
  kj::Own<kj::PromiseFulfiller<void>> fulfiller;

  void check() {
    if (fulfiller.get() != nullptr && text.find(pattern) != std::string::npos) {
      fulfiller->fulfill();
    }
  }
};

// A running hvd and the connection to it.
class HvdTest : public testing::Test {
 public:
  ~HvdTest() noexcept override {}

 protected:
  kj::AsyncIoContext io = kj::setupAsyncIo();
  std::string directory;
  pid_t process = -1;
  kj::Own<Connection> connection;
  std::set<std::string> before;

  void SetUp() override {
    char name[] = "/tmp/hvd-test-XXXXXX";
    directory = mkdtemp(name);
    std::filesystem::create_directory(directory + "/state");
    start();
    before = everything();
  }

  void TearDown() override {
    if (process > 0) {
      // After a failure nothing may stay behind for the next test.
      auto left = hypervisor().domainsRequest().send().wait(io.waitScope);
      for (auto entry : left.getDomains()) {
        entry.getDomain().destroyRequest().send().ignoreResult().wait(io.waitScope);
      }
      connection = nullptr;
      kill(process, SIGTERM);
      int status = 0;
      waitpid(process, &status, 0);
      EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
    }
    std::filesystem::remove_all(directory);
  }

  void start() {
    auto path = directory + "/hvd.sock";
    unlink(path.c_str());
    int listener;
    KJ_SYSCALL(listener = socket(AF_UNIX, SOCK_STREAM, 0));
    auto address = unixAddress(path.c_str());
    KJ_SYSCALL(bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address));
    KJ_SYSCALL(listen(listener, 8));
    auto xenstored = connectUnix(kXenstored);
    auto program = variable("BULKHEAD_TEST_HVD");
    KJ_SYSCALL(process = fork());
    if (process == 0) {
      // Above the two numbers they are to have.
      int first = fcntl(listener, F_DUPFD, 10);
      int second = fcntl(xenstored.get(), F_DUPFD, 10);
      dup2(first, 3);
      dup2(second, 4);
      closefrom(5);
      setenv("LISTEN_PID", std::to_string(getpid()).c_str(), 1);
      setenv("LISTEN_FDS", "2", 1);
      setenv("LISTEN_FDNAMES", "hvd:xenstored", 1);
      setenv("BULKHEAD_RUN", directory.c_str(), 1);
      setenv("STATE_DIRECTORY", (directory + "/state").c_str(), 1);
      execl(program.c_str(), program.c_str(), nullptr);
      _exit(127);
    }
    close(listener);
    connection = kj::heap<Connection>(
        io.lowLevelProvider->wrapUnixSocketFd(connectUnix(path.c_str())), ConnectionLimits());
  }

  void killHard() {
    connection = nullptr;
    kill(process, SIGKILL);
    waitpid(process, nullptr, 0);
  }

  schema::Hypervisor::Client hypervisor() { return connection->bootstrap<schema::Hypervisor>(); }

  template <typename T>
  T await(kj::Promise<T> promise, unsigned seconds = 300) {
    return io.provider->getTimer()
        .timeoutAfter(seconds * kj::SECONDS, kj::mv(promise))
        .wait(io.waitScope);
  }
  void await(kj::Promise<void> promise, unsigned seconds = 300) {
    io.provider->getTimer().timeoutAfter(seconds * kj::SECONDS, kj::mv(promise)).wait(io.waitScope);
  }

  // Paths of xenstore, loop devices in use and domains: what has to be the same afterwards.
  std::set<std::string> everything() {
    std::set<std::string> result;
    XenstoreClient xenstore(io.lowLevelProvider->wrapUnixSocketFd(connectUnix(kXenstored)),
                            io.provider->getTimer());
    kj::Vector<kj::String> open;
    for (auto root : {"/local/domain", "/vm"}) open.add(kj::str(root));
    while (!open.empty()) {
      auto path = kj::mv(open.back());
      open.removeLast();
      result.insert(path.cStr());
      for (auto& child : xenstore.list(path).wait(io.waitScope)) {
        open.add(kj::str(path, '/', child));
      }
    }
    // Directories that stay for all domains, made by the first one.
    for (auto kept : {"/vm", "/local/domain/0/backend", "/local/domain/0/backend/vbd",
                      "/local/domain/0/backend/vif"}) {
      result.erase(kept);
    }
    for (auto& entry : std::filesystem::directory_iterator("/sys/block")) {
      if (std::filesystem::exists(entry.path() / "loop")) result.insert(entry.path());
    }
    auto domains = hypervisor().domainsRequest().send().wait(io.waitScope);
    for (auto entry : domains.getDomains()) {
      result.insert("domain " + std::string(entry.getInfo().getName().cStr()));
    }
    return result;
  }

  void expectNothingLeft() {
    auto after = everything();
    for (auto& item : after) EXPECT_TRUE(before.contains(item)) << "left: " << item;
    EXPECT_TRUE(std::filesystem::directory_iterator(directory + "/state") !=
                std::filesystem::directory_iterator());
    for (auto& entry : std::filesystem::directory_iterator(directory + "/state")) {
      EXPECT_EQ(entry.path().filename(), "host-id");
    }
  }

  capnp::Request<schema::Hypervisor::CreateDomainParams, schema::Hypervisor::CreateDomainResults>
  order(schema::Virtualization kind, kj::StringPtr arguments, unsigned memory = 256) {
    auto request = hypervisor().createDomainRequest();
    auto spec = request.initSpec();
    auto uuid = Uuid::random();
    spec.setUuid(uuid.data());
    spec.setName("hvd-test");
    spec.setKernel(makeFile(openFile(variable("BULKHEAD_TEST_KERNEL"))));
    spec.setInitrd(makeFile(openFile(variable("BULKHEAD_TEST_INITRD"))));
    spec.setCommandLine(kj::str("console=hvc0 quiet ", arguments));
    spec.setMemoryMiB(memory);
    spec.setVcpus(1);
    spec.setVirtualization(kind);
    return request;
  }

  template <typename Response>
  void report(const char* what, Response& response) {
    std::string line = what;
    for (auto phase : response.getPhases()) {
      line += std::string(" ") + phase.getName().cStr() + "=" +
              std::to_string(phase.getNanoseconds() / 1000) + "us";
    }
    puts(line.c_str());
  }

  // Creates, follows the console until the text appears; returns the domain and its console.
  struct Running {
    schema::Domain::Client domain;
    Collector* collector;
    schema::Handle::Client handle;
  };
  template <typename Request>
  Running run(Request&& request, const char* what) {
    auto start = std::chrono::steady_clock::now();
    auto response = await(request.send());
    auto spent = std::chrono::steady_clock::now() - start;
    printf("%s: created in %lld us\n", what,
           static_cast<long long>(
               std::chrono::duration_cast<std::chrono::microseconds>(spent).count()));
    report(what, response);
    auto domain = response.getDomain();
    return follow(domain);
  }

  Running follow(schema::Domain::Client domain) {
    auto collector = kj::heap<Collector>();
    auto& reference = *collector;
    auto console = domain.consoleRequest();
    console.setSink(kj::mv(collector));
    console.setMode(schema::ConsoleMode::FOLLOW);
    auto handle = await(console.send().then([](auto&& r) { return r.getHandle(); }));
    return {kj::mv(domain), &reference, kj::mv(handle)};
  }

  // Waits until the guest has said it; what it said instead goes into the failure.
  void hear(Running& running, std::string words, unsigned seconds = 300) {
    bool late = false;
    try {
      await(running.collector->whenSaid(words), seconds);
    } catch (...) {
      late = true;
    }
    ASSERT_FALSE(late) << "not said: " << words << "; said: " << running.collector->text;
  }

  void destroy(schema::Domain::Client& domain, const char* what) {
    auto start = std::chrono::steady_clock::now();
    await(domain.destroyRequest().send().ignoreResult());
    auto spent = std::chrono::steady_clock::now() - start;
    printf("%s: destroyed in %lld us\n", what,
           static_cast<long long>(
               std::chrono::duration_cast<std::chrono::microseconds>(spent).count()));
  }

  void lifeOf(schema::Virtualization kind, const char* name) {
    auto running = run(order(kind, "test=none"), name);
    await(running.domain.unpauseRequest().send().ignoreResult());
    hear(running, "guest: ready");
    auto info = await(running.domain.infoRequest().send());
    EXPECT_EQ(info.getInfo().getVirtualization(), kind);
    EXPECT_EQ(info.getInfo().getState(), schema::DomainInfo::State::RUNNING);
    destroy(running.domain, name);
    auto end = await(running.domain.whenEndedRequest().send().then(
        [](auto&& r) { return r.getEnd().getReason(); }));
    EXPECT_EQ(end, schema::DomainEnd::Reason::DESTROYED);
    expectNothingLeft();
  }
};

TEST_F(HvdTest, StatusTellsOfTheHost) {
  auto response = await(hypervisor().statusRequest().send());
  auto status = response.getStatus();
  EXPECT_TRUE(kj::StringPtr(status.getXenVersion()).startsWith("4."));
  EXPECT_GT(status.getFreeMemory(), 0u);
  EXPECT_FALSE(status.getControlDegraded());
  auto cpus = await(hypervisor().topologyRequest().send());
  EXPECT_EQ(cpus.getCpus().size(), status.getCpus());
}

TEST_F(HvdTest, RunsAParavirtualGuest) { lifeOf(schema::Virtualization::PV, "PV"); }
TEST_F(HvdTest, RunsAHardwareAssistedGuest) { lifeOf(schema::Virtualization::PVH, "PVH"); }

TEST_F(HvdTest, GivesAGuestItsDisk) {
  auto image = directory + "/image";
  std::ofstream(image) << "disk works!" << std::string(8192 - 11, 'x');
  auto request = order(schema::Virtualization::PV, "test=disk");
  auto disk = request.getSpec().initDisks(1)[0];
  disk.setName("xvda");
  disk.setImage(makeFile(openFile(image)));
  disk.setAccess(schema::DiskSpec::Access::READ_ONLY);
  auto running = run(kj::mv(request), "PV with disk");
  await(running.domain.unpauseRequest().send().ignoreResult());
  hear(running, "guest: disk disk works!");
  destroy(running.domain, "PV with disk");
  expectNothingLeft();
}

TEST_F(HvdTest, ReportsPoweroffAndCrash) {
  for (auto crash : {false, true}) {
    auto running = run(order(schema::Virtualization::PV, crash ? "test=crash" : "test=poweroff"),
                       crash ? "crash" : "poweroff");
    await(running.domain.unpauseRequest().send().ignoreResult());
    auto response = await(running.domain.whenEndedRequest().send());
    if (crash) {
      EXPECT_EQ(response.getEnd().getReason(), schema::DomainEnd::Reason::CRASH);
      auto tail = std::string(response.getEnd().getConsoleTail().cStr());
      EXPECT_NE(tail.find("Kernel panic"), std::string::npos) << tail;
    } else {
      EXPECT_EQ(response.getEnd().getReason(), schema::DomainEnd::Reason::POWEROFF);
    }
    destroy(running.domain, "ended");
  }
  expectNothingLeft();
}

TEST_F(HvdTest, AdoptsAfterBeingKilled) {
  auto running = run(order(schema::Virtualization::PV, "test=none"), "adopted");
  await(running.domain.unpauseRequest().send().ignoreResult());
  hear(running, "guest: init runs");
  running.domain = nullptr;
  running.handle = nullptr;
  killHard();
  start();
  auto list = await(hypervisor().domainsRequest().send());
  ASSERT_EQ(list.getDomains().size(), 1u);
  auto again = follow(list.getDomains()[0].getDomain());
  hear(again, "guest: ready");
  destroy(again.domain, "adopted");
  expectNothingLeft();
}

TEST_F(HvdTest, ClearsACreationItDiedIn) {
  // Killed at some point of the build, ten times over its usual length.
  for (unsigned i = 0; i < 10; ++i) {
    auto creation = order(schema::Virtualization::PV, "test=none").send();
    io.provider->getTimer().afterDelay((20 + i * 80) * kj::MILLISECONDS).wait(io.waitScope);
    killHard();
    start();
    auto list = await(hypervisor().domainsRequest().send());
    for (auto entry : list.getDomains()) {
      auto domain = entry.getDomain();
      destroy(domain, "completed before the kill");
    }
    expectNothingLeft();
  }
}

TEST_F(HvdTest, UndoesACreationNobodyWaitsFor) {
  {
    auto creation = order(schema::Virtualization::PV, "test=none").send();
  }
  for (int i = 0; i < 100; ++i) {
    io.provider->getTimer().afterDelay(100 * kj::MILLISECONDS).wait(io.waitScope);
    if (everything() == before) break;
  }
  expectNothingLeft();
}

TEST_F(HvdTest, RefusesWhatDoesNotFit) {
  auto failureOfOrder = [&](unsigned memory) {
    try {
      await(order(schema::Virtualization::AUTOMATIC, "", memory).send().ignoreResult());
    } catch (...) {
      return failureOf(kj::getCaughtExceptionAsKj());
    }
    return failure(FailureCode::INTERNAL, "", "it was accepted");
  };
  auto small = failureOfOrder(64);
  EXPECT_EQ(small.code, FailureCode::INSUFFICIENT_MEMORY) << small.describe().cStr();
  auto large = failureOfOrder(512 * 1024);
  EXPECT_EQ(large.code, FailureCode::INSUFFICIENT_MEMORY) << large.describe().cStr();
  puts(large.describe().cStr());
  expectNothingLeft();
}

TEST_F(HvdTest, BoundsANoisyConsole) {
  auto running = run(order(schema::Virtualization::PV, "test=noise"), "noise");
  await(running.domain.unpauseRequest().send().ignoreResult());
  hear(running, "noise");
  auto length = running.collector->text.size();
  io.provider->getTimer().afterDelay(3 * kj::SECONDS).wait(io.waitScope);
  printf("noise: %zu bytes/s\n", (running.collector->text.size() - length) / 3);
  // Still answering.
  await(hypervisor().statusRequest().send().ignoreResult(), 5);
  destroy(running.domain, "noise");
  expectNothingLeft();
}

}  // namespace
}  // namespace bulkhead::hvd
