// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "services/cli/json.h"
#include "services/client/client.h"
#include "services/runtime/failure.h"

namespace bulkhead {

enum class OutputFormat { table, json };

// The user pressed Ctrl-C, or the like, and the command ends for it.
struct Interrupted {
  int signal;
};

// What every command works with.
class CommandContext {
 public:
  CommandContext();
  KJ_DISALLOW_COPY_AND_MOVE(CommandContext);

  OutputFormat format = OutputFormat::table;

  kj::AsyncIoContext io;
  Client client;

  // Runs a command's promise; SIGINT, SIGTERM and SIGHUP end it with `Interrupted`.
  template <typename T>
  T wait(kj::Promise<T> promise) {
    return run(promise.exclusiveJoin(interrupted<T>()));
  }

  // Runs a promise that looks after signals itself: see `interrupt`.
  template <typename T>
  T run(kj::Promise<T> promise) {
    try {
      return promise.wait(io.waitScope);
    } catch (const kj::Exception&) {
      if (interruptedBy == 0) throw;
    }
    throw Interrupted{interruptedBy};
  }

  // Ends the promise that `run` waits for with `Interrupted`, which as an exception of its own
  // could not pass through a promise.
  [[noreturn]] void interrupt(int signal);

  // The next of the signals that ask a command to end.
  kj::Promise<int> nextSignal();

  // Prints the value as JSON on standard output.
  void print(const Json& value);
  void print(kj::StringPtr text);

 private:
  int interruptedBy = 0;

  template <typename T>
  kj::Promise<T> interrupted() {
    return nextSignal().then([this](int signal) -> T { interrupt(signal); });
  }
};

// Exit codes beyond the container's own, as shells and other container tools use them.
constexpr int kOwnFailure = 125;
constexpr int kNotExecutable = 126;
constexpr int kNotFound = 127;
constexpr int kSignalBase = 128;

// The exit code for a failure.
int exitCodeOf(FailureCode code);

// The exit code of a process that ended so; a reason worth telling is printed.
int exitCodeOf(schema::ExitStatus::Reader status);

// "bulkhead: SUBJECT: MESSAGE" and, where there is one, "hint: HINT", on standard error.
void printFailure(const kj::Exception& exception);

}  // namespace bulkhead
