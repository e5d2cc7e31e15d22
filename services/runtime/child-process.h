// SPDX-License-Identifier: Apache-2.0
// For tests: one process to watch die.
#pragma once

#include <sys/types.h>

#include <string>

#include <kj/function.h>

namespace bulkhead {

struct ChildOutcome {
  // As waitpid() gives it.
  int status;

  // What it wrote to stderr.
  std::string errors;

  bool diedBy(int signal) const;
  bool exitedWith(int code) const;
};

// Runs `body` in a child process without core files; the child exits with 0 if it returns.
ChildOutcome runInChild(kj::Function<void()> body);

}  // namespace bulkhead
