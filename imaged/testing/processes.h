// SPDX-License-Identifier: Apache-2.0
// For tests: the real programs, started as systemd starts them.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

#include <kj/io.h>
#include <kj/string.h>
#include <kj/vector.h>

namespace bulkhead::testing {

// A program with descriptors passed by systemd's protocol. `environment` is added to the test's.
struct Program {
  kj::Vector<kj::String> command;
  kj::Vector<kj::String> environment;
  kj::Vector<int> descriptors;  // become 3, 4, ...; borrowed
  kj::String descriptorNames;   // "one:two"
  kj::Maybe<int> standardError;
};
pid_t start(const Program& program);

// Runs a command to its end; throws with its output when it fails.
void runCommand(std::initializer_list<kj::StringPtr> command);

// The same, and returns what it wrote to stdout.
kj::String runForOutput(std::initializer_list<kj::StringPtr> command);

// A process that ends with the test: SIGTERM, then its status.
class RunningProcess {
 public:
  explicit RunningProcess(pid_t pid) : pid(pid) {}
  ~RunningProcess() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(RunningProcess);
  pid_t id() const { return pid; }

  // Ends it and returns what waitpid gave.
  int stop(int signal);

 private:
  pid_t pid;
  bool ended = false;
};

// What a socket unit with Accept=yes does: a process of its own for every connection.
class AcceptUnit {
 public:
  // Serves `socket` with `program`, which gets the connection as "connection". What the workers
  // write to standard error goes to a copy of `log`.
  AcceptUnit(kj::StringPtr socket, kj::StringPtr program,
             kj::ArrayPtr<const kj::String> environment, int log = 2);
  // Waits for the workers to end.
  ~AcceptUnit() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(AcceptUnit);

  uint started() const { return count; }

  // Workers ended by a signal: by their sandbox, or a defect. Complete once the unit is stopped.
  uint killed() const { return signalled; }
  void stop();

  // Ends all that run now by SIGKILL. They do not count as killed.
  void killWorkers();

 private:
  kj::AutoCloseFd listener;
  kj::AutoCloseFd wakeRead;
  kj::AutoCloseFd wakeWrite;
  kj::AutoCloseFd log;
  kj::String program;
  kj::Vector<kj::String> environment;
  std::atomic<uint> count = 0;
  std::atomic<uint> signalled = 0;
  std::mutex mutex;
  std::vector<pid_t> workers;  // not yet waited for
  std::thread thread;

  void serve();
};

}  // namespace bulkhead::testing
