// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <kj/async-unix.h>
#include <unistd.h>

#include <initializer_list>

#include "services/client/client.h"
#include "services/runtime/log.h"
#include "services/zoned/testing/mock-world.h"

namespace bulkhead::testing {

// A child process whose end is an event of the test's loop.
class Child {
 public:
  Child(kj::UnixEventPort& port, pid_t pid) : pid(pid), end(port.onChildExit(this->pid).fork()) {}

  // The wait status once it has ended.
  kj::Promise<int> whenEnded() { return end.addBranch(); }
  void signal(int number);

 private:
  kj::Maybe<pid_t> pid;
  kj::ForkedPromise<int> end;
};

struct CommandResult {
  int code;  // exit code, or 128 and the signal
  kj::String output;
  kj::String errors;
};

// The real zoned, in its sandbox, between mocks of the four services and the real command.
class ZonedProcess : public ::testing::Test {
 protected:
  ZonedProcess();
  ~ZonedProcess() noexcept override;

  // Starts zoned on the platform socket, which stays the same over restarts.
  void startZoned();

  // kill -9, and waits until it is gone.
  void killZoned();

  // A command that runs; its output is collected.
  struct Running {
    kj::Own<Child> child;
    kj::Promise<CommandResult> result;
    kj::AutoCloseFd input;  // the writing end of its standard input, while that stays open
  };
  enum class InputEnd { afterText, open };
  Running begin(std::initializer_list<kj::StringPtr> arguments, kj::StringPtr input = "",
                InputEnd end = InputEnd::afterText);

  CommandResult run(std::initializer_list<kj::StringPtr> arguments, kj::StringPtr input = "");

  // Ends a mocked service and starts it again: every connection to it is cut.
  void restart(Edge edge);

  // Waits until the condition holds; the mocks and the commands run meanwhile.
  void until(kj::Function<bool()> condition);

  // A file in zoned's configuration directory.
  void configure(kj::StringPtr file, kj::StringPtr text);

  kj::AsyncIoContext io;
  kj::Timer& timer;
  Log log{"test"};
  kj::String directory;
  MockWorld world;
  kj::Maybe<kj::Own<Child>> zoned;
  uid_t runAs = geteuid();  // the user commands run as

 private:
  kj::AutoCloseFd platformListener;
  kj::HashMap<uint, kj::Promise<void>> services;  // by the number of the edge

  void serveMock(Edge edge);
  capnp::Capability::Client bootstrapOf(Edge edge);
};

}  // namespace bulkhead::testing
