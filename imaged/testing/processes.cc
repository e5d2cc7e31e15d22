// SPDX-License-Identifier: Apache-2.0
#include "imaged/testing/processes.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <kj/debug.h>

#include "services/runtime/files.h"
#include "services/runtime/testing/listening-socket.h"

extern char** environ;

namespace bulkhead::testing {
namespace {

int waitFor(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) {
    KJ_REQUIRE(errno == EINTR, "waitpid failed", pid);
  }
  return status;
}

struct Pipe {
  kj::AutoCloseFd read;
  kj::AutoCloseFd write;
  Pipe() {
    int ends[2];
    KJ_SYSCALL(pipe2(ends, O_CLOEXEC));
    read = kj::AutoCloseFd(ends[0]);
    write = kj::AutoCloseFd(ends[1]);
  }
};

}  // namespace

pid_t start(const Program& program) {
  kj::Vector<kj::String> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) variables.add(kj::str(*entry));
  for (const auto& entry : program.environment) variables.add(kj::str(entry));
  if (program.descriptors.size() > 0) {
    variables.add(kj::str("LISTEN_FDS=", program.descriptors.size()));
    variables.add(kj::str("LISTEN_FDNAMES=", program.descriptorNames));
  }
  kj::Vector<char*> arguments;
  for (const auto& argument : program.command) arguments.add(const_cast<char*>(argument.cStr()));
  arguments.add(nullptr);
  kj::Vector<char*> environment;
  for (const auto& variable : variables) environment.add(const_cast<char*>(variable.cStr()));
  environment.add(nullptr);

  // High copies first, so that no descriptor is overwritten before it is used.
  kj::Vector<kj::AutoCloseFd> copies;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  KJ_DEFER(posix_spawn_file_actions_destroy(&actions));
  for (size_t i = 0; i < program.descriptors.size(); ++i) {
    int copy;
    KJ_SYSCALL(copy = fcntl(program.descriptors[i], F_DUPFD_CLOEXEC, 64));
    copies.add(kj::AutoCloseFd(copy));
    posix_spawn_file_actions_adddup2(&actions, copy, 3 + static_cast<int>(i));
  }
  KJ_IF_MAYBE (fd, program.standardError) {
    posix_spawn_file_actions_adddup2(&actions, *fd, 2);
  }
  pid_t pid = 0;
  int error =
      posix_spawnp(&pid, arguments[0], &actions, nullptr, arguments.begin(), environment.begin());
  KJ_REQUIRE(error == 0, "cannot start", program.command[0], strerror(error));
  return pid;
}

kj::String runForOutput(std::initializer_list<kj::StringPtr> command) {
  Pipe pipe;
  Program program;
  for (auto word : command) program.command.add(kj::str(word));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  KJ_DEFER(posix_spawn_file_actions_destroy(&actions));
  posix_spawn_file_actions_adddup2(&actions, pipe.write, 1);
  posix_spawn_file_actions_adddup2(&actions, pipe.write, 2);
  kj::Vector<char*> arguments;
  for (const auto& word : program.command) arguments.add(const_cast<char*>(word.cStr()));
  arguments.add(nullptr);
  pid_t pid = 0;
  int error = posix_spawnp(&pid, arguments[0], &actions, nullptr, arguments.begin(), environ);
  KJ_REQUIRE(error == 0, "cannot start", program.command[0], strerror(error));
  pipe.write = nullptr;
  auto output = kj::FdInputStream(pipe.read.get()).readAllText();
  int status = waitFor(pid);
  KJ_REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the command failed",
             kj::strArray(program.command, " "), output);
  return output;
}

void runCommand(std::initializer_list<kj::StringPtr> command) { runForOutput(command); }

RunningProcess::~RunningProcess() noexcept(false) { stop(SIGTERM); }

int RunningProcess::stop(int signal) {
  if (ended) return 0;
  ended = true;
  kill(pid, signal);
  return waitFor(pid);
}

AcceptUnit::AcceptUnit(kj::StringPtr socket, kj::StringPtr program,
                       kj::ArrayPtr<const kj::String> environmentParam, int log)
    : listener(listenAt(socket)), log(duplicate(log)), program(kj::str(program)) {
  for (const auto& variable : environmentParam) environment.add(kj::str(variable));
  Pipe pipe;
  wakeRead = kj::mv(pipe.read);
  wakeWrite = kj::mv(pipe.write);
  thread = std::thread([this]() { serve(); });
}

AcceptUnit::~AcceptUnit() noexcept(false) { stop(); }

void AcceptUnit::stop() {
  if (!thread.joinable()) return;
  wakeWrite = nullptr;
  thread.join();
  for (pid_t worker : workers) {
    int status = waitFor(worker);
    if (WIFSIGNALED(status)) ++signalled;
  }
}

void AcceptUnit::killWorkers() {
  std::lock_guard guard(mutex);
  for (pid_t worker : workers) {
    // One that ended by itself is waited for here; what it ended with counts.
    int status = 0;
    if (waitpid(worker, &status, WNOHANG) == worker) {
      if (WIFSIGNALED(status)) ++signalled;
      continue;
    }
    kill(worker, SIGKILL);
    waitFor(worker);
  }
  workers.clear();
}

void AcceptUnit::serve() {
  for (;;) {
    pollfd watched[2] = {{listener.get(), POLLIN, 0}, {wakeRead.get(), POLLIN, 0}};
    if (poll(watched, 2, -1) < 0) continue;
    if (watched[1].revents != 0) return;
    int connection = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) continue;
    kj::AutoCloseFd own(connection);
    Program worker;
    worker.command.add(kj::str(program));
    for (const auto& variable : environment) worker.environment.add(kj::str(variable));
    worker.descriptors.add(connection);
    worker.descriptorNames = kj::str("connection");
    worker.standardError = log.get();
    std::lock_guard guard(mutex);
    workers.push_back(start(worker));
    ++count;
  }
}

}  // namespace bulkhead::testing
