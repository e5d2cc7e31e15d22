// SPDX-License-Identifier: Apache-2.0
#include "tests/xen/hvd-fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include <kj/debug.h>

#include "services/runtime/files.h"
#include "services/runtime/testing/listening-socket.h"
#include "services/runtime/unix-address.h"
#include "services/runtime/uuid.h"
#include "tests/xen/guest-files.h"

namespace bulkhead::xentest {
namespace {

constexpr char kHvd[] = "/usr/lib/bulkhead/hvd";
constexpr char kXenstored[] = "/run/xenstored/socket";
constexpr char kGuest[] = "/tmp/hvd-test-guest";

constexpr char kInit[] = R"sh(#!/bin/busybox sh
/bin/busybox --install -s /bin
mkdir -p /proc /sys /dev
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
exec >/dev/hvc0 2>&1
echo "guest: init runs"
for m in $(find /modules -name '*.ko' | sort); do insmod $m; done
for word in $(cat /proc/cmdline); do
  case $word in
    test=disk) until [ -b /dev/xvda ]; do sleep 1; done
               echo "guest: disk $(head -c 11 /dev/xvda) ro $(cat /sys/block/xvda/ro)";;
    test=poweroff) poweroff -f;;
    test=crash) exit 1;;
    test=noise) while :; do echo "noise noise noise noise noise noise"; done;;
  esac
done
echo "guest: ready"
while :; do sleep 1000; done
)sh";

kj::AutoCloseFd openFile(const std::string& path) {
  int fd;
  KJ_SYSCALL(fd = open(path.c_str(), O_RDONLY | O_CLOEXEC), path);
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

}  // namespace

kj::Promise<void> ConsoleText::write(WriteContext context) {
  auto bytes = context.getParams().getBytes();
  text.append(bytes.asChars().begin(), bytes.size());
  check();
  return kj::READY_NOW;
}

kj::Promise<void> ConsoleText::whenSaid(std::string wanted) {
  auto paf = kj::newPromiseAndFulfiller<void>();
  pattern = kj::mv(wanted);
  fulfiller = kj::mv(paf.fulfiller);
  check();
  return kj::mv(paf.promise);
}

void ConsoleText::check() {
  if (fulfiller.get() != nullptr && text.find(pattern) != std::string::npos) fulfiller->fulfill();
}

void HvdTest::SetUpTestSuite() {
  extractKernel(kZoneKernelLayout, kGuest);
  makeBusyboxInitrd(kGuest, kInit);
}

void HvdTest::TearDownTestSuite() { std::filesystem::remove_all(kGuest); }

void HvdTest::SetUp() {
  char name[] = "/tmp/hvd-test-XXXXXX";
  directory = mkdtemp(name);
  std::filesystem::create_directory(directory + "/state");
  nothing = std::make_unique<NothingLeft>();
  start();
}

void HvdTest::TearDown() {
  int status = 0;
  if (waitpid(process, &status, WNOHANG) == process) {
    FAIL() << "hvd died by itself: " << (WIFSIGNALED(status) ? "signal " : "code ")
           << (WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
  }
  auto left = await(hypervisor().domainsRequest().send());
  EXPECT_EQ(left.getDomains().size(), 0u) << "the test did not end its guests";
  for (auto entry : left.getDomains()) destroy(entry.getDomain());
  for (auto& entry : std::filesystem::directory_iterator(directory + "/state")) {
    EXPECT_EQ(entry.path().filename(), "host-id") << "left in the journal's directory";
  }
  bootstrap = nullptr;
  connection = nullptr;
  kill(process, SIGTERM);
  waitpid(process, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
  nothing = nullptr;
  std::filesystem::remove_all(directory);
}

void HvdTest::start() {
  auto path = directory + "/hvd.sock";
  unlink(path.c_str());
  auto listener = listenAt(path.c_str());
  auto xenstored = connectUnix(kXenstored);
  KJ_SYSCALL(process = fork());
  if (process == 0) {
    // Above the two numbers they are to have.
    int first = fcntl(listener, F_DUPFD, 10);
    int second = fcntl(xenstored, F_DUPFD, 10);
    dup2(first, 3);
    dup2(second, 4);
    closefrom(5);
    setenv("LISTEN_PID", std::to_string(getpid()).c_str(), 1);
    setenv("LISTEN_FDS", "2", 1);
    setenv("LISTEN_FDNAMES", "hvd:xenstored", 1);
    setenv("BULKHEAD_RUN", directory.c_str(), 1);
    setenv("STATE_DIRECTORY", (directory + "/state").c_str(), 1);
    execl(kHvd, kHvd, nullptr);
    _exit(127);
  }
  connection = kj::heap<Connection>(
      io.lowLevelProvider->wrapUnixSocketFd(connectUnix(path.c_str())), ConnectionLimits());
  bootstrap = connection->bootstrap<schema::Hypervisor>();
}

void HvdTest::killHard() {
  bootstrap = nullptr;
  connection = nullptr;
  kill(process, SIGKILL);
  waitpid(process, nullptr, 0);
}

HvdTest::Order HvdTest::order(schema::Virtualization kind, kj::StringPtr arguments,
                              unsigned memoryMiB) {
  auto request = hypervisor().createDomainRequest();
  auto spec = request.initSpec();
  auto uuid = Uuid::random();
  spec.setUuid(uuid.data());
  spec.setName("hvd-test");
  spec.setKernel(makeFile(openFile(std::string(kGuest) + "/kernel/image")));
  spec.setInitrd(makeFile(openFile(std::string(kGuest) + "/initrd")));
  spec.setCommandLine(kj::str("console=hvc0 quiet ", arguments));
  spec.setMemoryMiB(memoryMiB);
  spec.setVcpus(1);
  spec.setVirtualization(kind);
  return request;
}

HvdTest::Guest HvdTest::create(Order order) {
  auto response = await(order.send());
  return listenTo(response.getDomain());
}

HvdTest::Guest HvdTest::listenTo(schema::Domain::Client domain) {
  auto console = kj::heap<ConsoleText>();
  auto& text = *console;
  auto request = domain.consoleRequest();
  request.setSink(kj::mv(console));
  request.setMode(schema::ConsoleMode::FOLLOW);
  auto handle = await(request.send().then([](auto&& response) { return response.getHandle(); }));
  return {kj::mv(domain), &text, kj::mv(handle)};
}

void HvdTest::unpause(Guest& guest) { await(guest.domain.unpauseRequest().send().ignoreResult()); }

void HvdTest::expectSaid(Guest& guest, const std::string& words) {
  bool late = false;
  try {
    await(guest.console->whenSaid(words));
  } catch (const kj::Exception&) {
    late = true;
  }
  ASSERT_FALSE(late) << "not said: " << words << "; said: " << guest.console->text;
}

void HvdTest::destroy(schema::Domain::Client domain) {
  await(domain.destroyRequest().send().ignoreResult());
}

}  // namespace bulkhead::xentest
