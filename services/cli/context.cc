// SPDX-License-Identifier: Apache-2.0
#include "services/cli/context.h"

#include <signal.h>
#include <unistd.h>

#include <kj/async-unix.h>
#include <kj/debug.h>
#include <kj/io.h>

namespace bulkhead {
namespace {

kj::AsyncIoContext setupLoop() {
  for (int number : {SIGINT, SIGTERM, SIGHUP, SIGWINCH}) kj::UnixEventPort::captureSignal(number);
  signal(SIGPIPE, SIG_IGN);
  return kj::setupAsyncIo();
}

void writeTo(int fd, kj::StringPtr text) {
  kj::FdOutputStream(fd).write(text.begin(), text.size());
}

// Lines of a message stay lines; the rest of it is harmless on a terminal.
kj::String printableLines(kj::StringPtr text) {
  kj::Vector<kj::String> lines;
  for (size_t at = 0; at <= text.size();) {
    auto rest = text.slice(at);
    auto length = rest.findFirst('\n').orDefault(rest.size());
    lines.add(printable(rest.slice(0, length), 4096));
    at += length + 1;
  }
  return kj::strArray(lines, "\n  ");
}

}  // namespace

CommandContext::CommandContext() : io(setupLoop()), client(*io.lowLevelProvider) {}

kj::Promise<int> CommandContext::nextSignal() {
  auto& port = io.unixEventPort;
  return port.onSignal(SIGINT)
      .exclusiveJoin(port.onSignal(SIGTERM))
      .exclusiveJoin(port.onSignal(SIGHUP))
      .then([](siginfo_t info) { return info.si_signo; });
}

void CommandContext::interrupt(int signal) {
  interruptedBy = signal;
  fail(FailureCode::CANCELLED, "", "interrupted");
}

void CommandContext::print(const Json& value) { print(kj::str(value.encode(), '\n')); }

void CommandContext::print(kj::StringPtr text) { writeTo(STDOUT_FILENO, text); }

int exitCodeOf(FailureCode code) {
  switch (code) {
    case FailureCode::COMMAND_NOT_FOUND:
      return kNotFound;
    case FailureCode::COMMAND_NOT_EXECUTABLE:
      return kNotExecutable;
    default:
      return kOwnFailure;
  }
}

int exitCodeOf(schema::ExitStatus::Reader status) {
  // The zone's own words; what it says of its memory is worth a hint.
  if (status.getReason().size() > 0) {
    auto hint = status.getOutOfMemory() ? "hint: give it more with --memory\n"_kj : ""_kj;
    writeTo(STDERR_FILENO,
            kj::str("bulkhead: the process was ", printable(status.getReason(), 512), '\n', hint));
  }
  return status.isSignal() ? kSignalBase + status.getSignal() : status.getCode();
}

void printFailure(const kj::Exception& exception) {
  auto problem = failureOf(exception);
  auto subject =
      problem.subject.size() > 0 ? kj::str(printable(problem.subject, 256), ": ") : kj::String();
  auto hint = problem.hint.size() > 0 ? kj::str("hint: ", printable(problem.hint, 1024), '\n')
                                      : kj::String();
  writeTo(STDERR_FILENO,
          kj::str("bulkhead: ", subject, printableLines(problem.message), '\n', hint));
}

}  // namespace bulkhead
