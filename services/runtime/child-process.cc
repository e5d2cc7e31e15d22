// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/child-process.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <kj/debug.h>
#include <kj/io.h>

namespace bulkhead {

bool ChildOutcome::diedBy(int signal) const {
  return WIFSIGNALED(status) && WTERMSIG(status) == signal;
}

bool ChildOutcome::exitedWith(int code) const {
  return WIFEXITED(status) && WEXITSTATUS(status) == code;
}

ChildOutcome runInChild(kj::Function<void()> body) {
  int ends[2];
  KJ_SYSCALL(pipe2(ends, O_CLOEXEC));
  kj::AutoCloseFd reader(ends[0]);
  kj::AutoCloseFd writer(ends[1]);
  pid_t child;
  KJ_SYSCALL(child = fork());
  if (child == 0) {
    rlimit noCore{0, 0};
    KJ_SYSCALL(setrlimit(RLIMIT_CORE, &noCore));
    KJ_SYSCALL(dup2(writer, STDERR_FILENO));
    // noexcept: what escapes ends in std::terminate, as it would in a main().
    [&]() noexcept { body(); }();
    _exit(0);
  }
  writer = nullptr;
  auto errors = kj::FdInputStream(kj::mv(reader)).readAllText();
  ChildOutcome outcome{};
  KJ_SYSCALL(waitpid(child, &outcome.status, 0));
  outcome.errors = errors.cStr();
  return outcome;
}

}  // namespace bulkhead
