// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <kj/debug.h>

#include "services/runtime/failure.h"
#include "services/runtime/files.h"
#include "zoneinit/runtime/syscalls.h"

namespace bulkhead::zone {

Process::Process(kj::UnixEventPort& eventPortParam, pid_t number, kj::AutoCloseFd processParam,
                 ProcessStreams streams, ProcessSinks sinks, kj::Maybe<LogRing&> log,
                 kj::Function<uint64_t()> memoryKillsParam)
    : eventPort(eventPortParam),
      pid(number),
      process(kj::mv(processParam)),
      terminal(kj::mv(streams.terminal)),
      inputPiped(streams.input != nullptr),
      memoryKills(kj::mv(memoryKillsParam)),
      memoryKillsBefore(memoryKills()),
      ended(reap().fork()) {
  KJ_IF_MAYBE (fd, terminal) {
    inputPiped = true;
    // Descriptors of their own, since each has an observer.
    input = kj::heap<InputStream>(eventPort, duplicate(*fd), InputKind::terminal);
    pumps.add(kj::heap<OutputPump>(eventPort, duplicate(*fd), OutputStream::standardOutput, log,
                                   kj::mv(sinks.output)));
    return;
  }
  KJ_IF_MAYBE (fd, streams.input) {
    input = kj::heap<InputStream>(eventPort, kj::mv(*fd), InputKind::pipe);
  }
  KJ_IF_MAYBE (fd, streams.output) {
    pumps.add(kj::heap<OutputPump>(eventPort, kj::mv(*fd), OutputStream::standardOutput, log,
                                   kj::mv(sinks.output)));
  }
  KJ_IF_MAYBE (fd, streams.error) {
    pumps.add(kj::heap<OutputPump>(eventPort, kj::mv(*fd), OutputStream::standardError, log,
                                   kj::mv(sinks.error)));
  }
}

Process::~Process() noexcept(false) {}

kj::Promise<void> Process::run() {
  kj::Vector<kj::Promise<void>> all;
  for (auto& pump : pumps) all.add(pump->run(ended.addBranch()));
  all.add(ended.addBranch());
  co_await kj::joinPromises(all.releaseAsArray());
}

kj::Promise<void> Process::reap() {
  kj::UnixEventPort::FdObserver observer(eventPort, process,
                                         kj::UnixEventPort::FdObserver::OBSERVE_READ);
  for (;;) {
    siginfo_t info{};
    int result = waitid(P_PIDFD, static_cast<id_t>(process.get()), &info, WEXITED | WNOHANG);
    if (result != 0 && errno == EINTR) continue;
    KJ_REQUIRE(result == 0, "waiting for a process failed", pid, errno);
    if (info.si_pid == 0) {
      co_await observer.whenBecomesReadable();
      continue;
    }
    ExitStatus outcome;
    outcome.kind = info.si_code == CLD_EXITED ? ExitStatus::Kind::code : ExitStatus::Kind::signal;
    outcome.number = info.si_status;
    outcome.outOfMemory = outcome.kind == ExitStatus::Kind::signal && outcome.number == SIGKILL &&
                          memoryKills() > memoryKillsBefore;
    outcome.timeout = outlived;
    status = outcome;
    co_return;
  }
}

kj::Promise<ExitStatus> Process::wait() {
  auto self = kj::addRef(*this);
  co_await ended.addBranch();
  for (auto& pump : pumps) co_await pump->whenHandedOver();
  co_return KJ_ASSERT_NONNULL(status);
}

void Process::signal(int number) {
  if (hasEnded()) return;
  // The pidfd names this very process for as long as it is not reaped.
  if (pidfdSendSignal(process, number) != 0 && errno != ESRCH) {
    KJ_FAIL_SYSCALL("pidfd_send_signal", errno, number);
  }
}

void Process::resize(TerminalSize size) {
  KJ_IF_MAYBE (fd, terminal) {
    winsize wanted{};
    wanted.ws_row = size.rows;
    wanted.ws_col = size.columns;
    // A terminal that everybody has left needs no size.
    if (ioctl(*fd, TIOCSWINSZ, &wanted) != 0 && errno != EIO) KJ_FAIL_SYSCALL("TIOCSWINSZ", errno);
    return;
  }
  fail(FailureCode::INVALID, "resize", "the process has no terminal");
}

kj::Own<InputStream> Process::takeInput() {
  if (!inputPiped) {
    fail(FailureCode::INVALID, "stdin", "the process was started with closed input");
  }
  if (inputTaken) fail(FailureCode::BUSY, "stdin", "somebody else has the process's input");
  inputTaken = true;
  auto result = kj::mv(KJ_ASSERT_NONNULL(input));
  input = nullptr;
  return result;
}

}  // namespace bulkhead::zone
