// SPDX-License-Identifier: Apache-2.0
// For tests: netd and netd-agent as systemd would start them, in network namespaces of a test.
#pragma once

#include <kj/async-io.h>
#include <signal.h>
#include <sys/types.h>

#include "netd/test/network-namespace.h"
#include "schemas/network.capnp.h"
#include "services/runtime/connection.h"

namespace bulkhead::net {

// Whom the daemons run as: not root, as in production.
constexpr uid_t kDaemonUser = 65534;

// One daemon process. Killed when it is destroyed.
class DaemonProcess {
 public:
  ~DaemonProcess() noexcept(false) { stop(SIGKILL); }

  // `fds` are passed by name. With `where`, it is started in there with CAP_NET_ADMIN.
  void start(kj::StringPtr binary, kj::ArrayPtr<const kj::StringPtr> names,
             kj::ArrayPtr<const int> fds, kj::StringPtr directory,
             kj::Maybe<const NetworkNamespace&> where);

  // Sends the signal and waits for the end. Does nothing when it does not run.
  void stop(int signal);

  // The value of a line of /proc/PID/status.
  kj::String status(kj::StringPtr key) const;

  pid_t pid() const { return child; }

 private:
  pid_t child = 0;
};

// A zone: a namespace whose eth0 is the other end of a vif.
struct TestZone {
  NetworkNamespace network;
  MacAddress mac;
  IpAddress v4;
  IpAddress v6;

  bool pings(kj::StringPtr address, kj::StringPtr program = "ping") const;
};

// Both daemons, a host's namespace where vifs appear, and the agent's.
class NetStack {
 public:
  NetStack();
  ~NetStack() noexcept(false);

  void startAgent();
  void startController();

  // While it is hidden nobody listens there, as when the agent's socket unit has failed.
  void hideAgentSocket();
  void showAgentSocket();

  // A connection to the controller of its own.
  schema::Network::Client client();

  // Waits until the controller has or has not got the agent.
  void waitForAgent(bool connected);

  // What the network back end does: makes the device in the host's namespace.
  void plug(const TestZone& zone, kj::StringPtr vif);

  // What a zone is told of its interface.
  void learn(TestZone& zone, schema::InterfacePlan::Reader plan);

  // Attaches, plugs and connects zone `number`.
  schema::Attachment::Client bringUp(TestZone& zone, kj::byte number, uint32_t domid);

  schema::Attachment::Client attach(kj::byte number);
  uint64_t droppedSpoofed(schema::Attachment::Client attachment);

  NetworkNamespace host;
  NetworkNamespace driver;
  DaemonProcess agent;
  DaemonProcess controller;
  kj::AsyncIoContext io;

 private:
  kj::AutoCloseFd listeningSocket(kj::StringPtr name) const;

  kj::String directory;
  kj::AutoCloseFd hostRoute;
  kj::AutoCloseFd agentListener;
  kj::AutoCloseFd controllerListener;
  kj::Vector<kj::Own<Connection>> connections;
};

}  // namespace bulkhead::net
