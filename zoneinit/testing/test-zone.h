// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <kj/async-io.h>
#include <kj/io.h>

#include "schemas/agent.capnp.h"
#include "services/runtime/connection.h"

namespace bulkhead::zone {

// A container image as a squashfs on a loop device: busybox, and what a hostile image may hold.
class TestImage {
 public:
  explicit TestImage(kj::StringPtr folder);
  ~TestImage() noexcept(false);

  // The device's name in /dev.
  kj::StringPtr disk() const { return device; }

 private:
  kj::String device;
};

// The real /init and agent as the first process of namespaces of its own: a zone without Xen,
// reached over a Unix socket in place of the ring. Needs root.
class ZoneUnderTest {
 public:
  explicit ZoneUnderTest(kj::StringPtr folder);
  ~ZoneUnderTest() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(ZoneUnderTest);

  // A fresh session, as after a lost ring.
  kj::Own<Connection> connect(kj::LowLevelAsyncIoProvider& provider);

  // What init and the agent said.
  kj::String console() const;

  // Runs a program of the build machine in the zone's namespaces, all but the file system's.
  int runInside(kj::StringPtr command) const;

  // Number of the zone's first process here, and its pidfd.
  pid_t number() const { return pid; }
  int pidfd() const { return process.get(); }

  kj::StringPtr cgroup() const { return cgroupPath; }

 private:
  kj::String folder;
  kj::String root;
  kj::String cgroupPath;
  kj::AutoCloseFd listener;
  pid_t pid = 0;
  kj::AutoCloseFd process;

  void makeTree();
  void makeCgroup();
  void start();
  [[noreturn]] void becomeZone(int console);
};

}  // namespace bulkhead::zone
