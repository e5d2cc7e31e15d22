// SPDX-License-Identifier: Apache-2.0
#include "netd/test/net-stack.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <kj/debug.h>

#include "services/runtime/failure.h"
#include "services/runtime/testing/listening-socket.h"
#include "services/runtime/uuid.h"

namespace bulkhead::net {
namespace {

// As systemd does for ListenNetlink=route 1.
kj::AutoCloseFd routeSocket(const NetworkNamespace& where) {
  kj::AutoCloseFd fd;
  where.inside([&]() {
    int raw;
    KJ_SYSCALL(raw = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
    fd = kj::AutoCloseFd(raw);
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    address.nl_groups = RTMGRP_LINK;
    KJ_SYSCALL(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address));
  });
  return fd;
}

// As systemd does for User= with AmbientCapabilities=CAP_NET_ADMIN, or with none.
void becomeDaemonUser(uint32_t capabilities) {
  KJ_SYSCALL(prctl(PR_SET_KEEPCAPS, 1));
  KJ_SYSCALL(setresgid(kDaemonUser, kDaemonUser, kDaemonUser));
  KJ_SYSCALL(setresuid(kDaemonUser, kDaemonUser, kDaemonUser));
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct words[2]{};
  words[0] = {capabilities, capabilities, capabilities};
  KJ_SYSCALL(syscall(SYS_capset, &header, words));
  if (capabilities != 0) {
    KJ_SYSCALL(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_ADMIN, 0, 0));
  }
}

IpAddress addressOf(kj::StringPtr text) { return KJ_ASSERT_NONNULL(IpAddress::parse(text), text); }

kj::String makeDirectory() {
  char name[] = "/tmp/bulkhead-netd-XXXXXX";
  KJ_ASSERT(mkdtemp(name) != nullptr);
  KJ_SYSCALL(chown(name, kDaemonUser, kDaemonUser));
  KJ_SYSCALL(chmod(name, 0755));
  return kj::str(static_cast<const char*>(name));
}

}  // namespace

void DaemonProcess::start(kj::StringPtr binary, kj::ArrayPtr<const kj::StringPtr> names,
                          kj::ArrayPtr<const int> fds, kj::StringPtr directory,
                          kj::Maybe<const NetworkNamespace&> where) {
  KJ_REQUIRE(child == 0);
  // The program by descriptor: the daemons' user may not be let into the folders above the build.
  int raw;
  KJ_SYSCALL(raw = open(binary.cStr(), O_RDONLY | O_CLOEXEC), binary);
  kj::AutoCloseFd opened(raw);
  // Ends at the exec, or says why there was none: nobody would answer the tests' calls.
  int ends[2];
  KJ_SYSCALL(pipe2(ends, O_CLOEXEC));
  kj::AutoCloseFd failure(ends[0]);
  kj::AutoCloseFd failed(ends[1]);
  KJ_SYSCALL(child = fork());
  if (child != 0) {
    failed = nullptr;
    int error = 0;
    if (read(failure, &error, sizeof(error)) == 0) return;
    waitpid(child, nullptr, 0);
    child = 0;
    KJ_FAIL_SYSCALL("exec", error, binary);
  }
  KJ_IF_MAYBE (network, where) {
    network->enter();
  }
  // Above the range that is about to be filled.
  kj::Vector<int> copies;
  for (int fd : fds) copies.add(fcntl(fd, F_DUPFD, 100));
  int program = fcntl(opened, F_DUPFD_CLOEXEC, 100);
  int report = fcntl(failed, F_DUPFD_CLOEXEC, 100);
  for (size_t i = 0; i < copies.size(); ++i) dup2(copies[i], static_cast<int>(i) + 3);
  close_range(static_cast<unsigned>(fds.size()) + 3, ~0u, CLOSE_RANGE_CLOEXEC);
  auto joined = kj::strArray(names, ":");
  setenv("LISTEN_FDS", kj::str(fds.size()).cStr(), 1);
  setenv("LISTEN_FDNAMES", joined.cStr(), 1);
  setenv("LISTEN_PID", kj::str(getpid()).cStr(), 1);
  setenv("BULKHEAD_RUN", directory.cStr(), 1);
  setenv("STATE_DIRECTORY", directory.cStr(), 1);
  setenv("CONFIGURATION_DIRECTORY", directory.cStr(), 1);
  becomeDaemonUser(where == nullptr ? 0 : 1u << CAP_NET_ADMIN);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  char* argv[] = {const_cast<char*>(binary.cStr()), nullptr};
  fexecve(program, argv, environ);
  int error = errno;
  (void)write(report, &error, sizeof(error));
  _exit(127);
}

void DaemonProcess::stop(int signal) {
  if (child == 0) return;
  kill(child, signal);
  int status;
  KJ_SYSCALL(waitpid(child, &status, 0));
  child = 0;
  if (signal == SIGTERM) {
    KJ_REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 0, "not a clean end", status);
  } else {
    KJ_REQUIRE(WIFSIGNALED(status) && WTERMSIG(status) == signal, "it died before", status);
  }
}

kj::String DaemonProcess::status(kj::StringPtr key) const {
  int raw;
  KJ_SYSCALL(raw = open(kj::str("/proc/", child, "/status").cStr(), O_RDONLY | O_CLOEXEC));
  auto text = kj::FdInputStream(kj::AutoCloseFd(raw)).readAllText();
  size_t begin = 0;
  for (size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && text[i] != '\n') continue;
    auto line = kj::str(text.slice(begin, i));
    begin = i + 1;
    if (!line.startsWith(kj::str(key, ":\t"))) continue;
    return kj::str(line.slice(key.size() + 2));
  }
  KJ_FAIL_REQUIRE("no such line", key);
}

bool TestZone::pings(kj::StringPtr address, kj::StringPtr program) const {
  return network.shell(kj::str("busybox ", program, " -c 1 -W 1 ", address)).code == 0;
}

NetStack::NetStack()
    : io(kj::setupAsyncIo()),
      directory(makeDirectory()),
      hostRoute(routeSocket(host)),
      agentListener(listeningSocket("netagent.sock")),
      controllerListener(listeningSocket("netd.sock")) {}

// For the user that the daemons run as.
kj::AutoCloseFd NetStack::listeningSocket(kj::StringPtr name) const {
  auto path = kj::str(directory, '/', name);
  auto fd = listenAt(path);
  KJ_SYSCALL(chmod(path.cStr(), 0666));
  return fd;
}

NetStack::~NetStack() noexcept(false) { host.shell(kj::str("rm -rf ", directory)); }

void NetStack::startAgent() {
  kj::StringPtr names[] = {"netagent", "host-rtnl"};
  int fds[] = {agentListener, hostRoute};
  agent.start(NETD_AGENT_BINARY, names, fds, directory, driver);
}

void NetStack::startController() {
  kj::StringPtr names[] = {"netd"};
  int fds[] = {controllerListener};
  controller.start(NETD_BINARY, names, fds, directory, nullptr);
}

void NetStack::hideAgentSocket() {
  host.mustRun(kj::str("mv ", directory, "/netagent.sock ", directory, "/hidden"));
}

void NetStack::showAgentSocket() {
  host.mustRun(kj::str("mv ", directory, "/hidden ", directory, "/netagent.sock"));
}

schema::Network::Client NetStack::client() {
  // The socket admits the user that the daemons run as.
  KJ_SYSCALL(seteuid(kDaemonUser));
  KJ_DEFER({ KJ_SYSCALL(seteuid(0)); });
  auto connection = connectTo(*io.lowLevelProvider, kj::str(directory, "/netd.sock"));
  auto result = connection->bootstrap<schema::Network>();
  connections.add(kj::mv(connection));
  return result;
}

void NetStack::waitForAgent(bool connected) {
  auto network = client();
  for (;;) {
    auto response = network.statusRequest().send().wait(io.waitScope);
    if (response.getStatus().getAgentConnected() == connected) return;
    // The interface has no event for this; only tests wait for it.
    io.provider->getTimer().afterDelay(10 * kj::MILLISECONDS).wait(io.waitScope);
  }
}

schema::Attachment::Client NetStack::attach(kj::byte number) {
  Uuid zone;
  zone.bytes[15] = number;
  auto request = client().attachRequest();
  request.setZone(zone.data());
  return request.send().wait(io.waitScope).getAttachment();
}

void NetStack::plug(const TestZone& zone, kj::StringPtr vif) {
  host.mustRun(kj::str("ip link add ", vif, " address fe:ff:ff:ff:ff:ff type veth peer name eth0",
                       " address ", zone.mac, " netns ", zone.network.path()));
}

void NetStack::learn(TestZone& zone, schema::InterfacePlan::Reader plan) {
  zone.mac = KJ_ASSERT_NONNULL(MacAddress::parse(plan.getMac()));
  zone.v4 = addressOf(plan.getAddresses()[0]);
  zone.v6 = addressOf(plan.getAddresses()[1]);
}

schema::Attachment::Client NetStack::bringUp(TestZone& zone, kj::byte number, uint32_t domid) {
  auto attachment = attach(number);
  auto plan = attachment.planRequest().send().wait(io.waitScope);
  learn(zone, plan.getPlan());
  plug(zone, kj::str("vif", domid, '.', plan.getPlan().getIndex()));
  auto connect = attachment.connectRequest();
  connect.setDomid(domid);
  connect.send().wait(io.waitScope);
  zone.network.mustRun(kj::str(
      "ip link set eth0 up && ip addr add ", zone.v4, "/32 dev eth0 && ",
      "ip route add 169.254.1.1 dev eth0 scope link && ip route add default via 169.254.1.1 && ",
      "ip addr add ", zone.v6, "/128 dev eth0 nodad && ",
      "ip -6 route add default via fe80::1 dev eth0"));
  return attachment;
}

uint64_t NetStack::droppedSpoofed(schema::Attachment::Client attachment) {
  auto response = attachment.statisticsRequest().send().wait(io.waitScope);
  return response.getStatistics().getDroppedSpoofed();
}

}  // namespace bulkhead::net
