// SPDX-License-Identifier: Apache-2.0
#include "services/cli/archive-process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <kj/debug.h>

#include "services/runtime/landlock.h"
#include "services/runtime/pipe.h"
#include "services/tar/failure-line.h"

namespace bulkhead {
namespace {

constexpr int kReport = 3;

[[noreturn]] void runBody(int archive, int number, int report, kj::Function<void()>& body) {
  // The loop holds back signals that it waits for.
  for (int each : {SIGINT, SIGTERM, SIGHUP, SIGWINCH}) signal(each, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  // Other ends of pipes that are open here would keep them from ending. The report goes out of the
  // archive's way first.
  int high = fcntl(report, F_DUPFD_CLOEXEC, kReport);
  if (high < 0 || dup2(archive, number) < 0) _exit(2);
  if (high != kReport && dup2(high, kReport) < 0) _exit(2);
  close_range(kReport + 1, ~0U, 0);
  try {
    body();
    _exit(0);
  } catch (...) {
    auto line = encodeFailureLine(failureOf(kj::getCaughtExceptionAsKj()));
    (void)!write(kReport, line.begin(), line.size());
    _exit(1);
  }
}

}  // namespace

ArchiveProcess::ArchiveProcess(CommandContext& context, kj::AutoCloseFd archive, Stream stream,
                               kj::Function<void()> body) {
  auto pipe = makePipe();
  KJ_SYSCALL(process = fork());
  if (process == 0) {
    runBody(archive, stream == Stream::input ? STDIN_FILENO : STDOUT_FILENO, pipe.write, body);
  }
  report = context.io.lowLevelProvider->wrapInputFd(kj::mv(pipe.read),
                                                    kj::LowLevelAsyncIoProvider::ALREADY_CLOEXEC);
}

ArchiveProcess::~ArchiveProcess() noexcept(false) {
  if (process < 0) return;
  kill(process, SIGKILL);
  while (waitpid(process, nullptr, 0) < 0 && errno == EINTR) {
  }
}

kj::Promise<kj::Maybe<kj::Exception>> ArchiveProcess::failure() {
  auto line = co_await report->readAllText(64 << 10);
  int status = 0;
  while (waitpid(process, &status, 0) < 0 && errno == EINTR) {
  }
  process = -1;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) co_return nullptr;
  co_return decodeFailureLine(line).toException();
}

void throwCause(kj::Maybe<kj::Exception> producer, kj::Maybe<kj::Exception> consumer) {
  KJ_IF_MAYBE (first, producer) {
    if (!isFailure(*first, FailureCode::CANCELLED)) kj::throwFatalException(kj::mv(*first));
  }
  KJ_IF_MAYBE (second, consumer) {
    kj::throwFatalException(kj::mv(*second));
  }
  KJ_IF_MAYBE (first, producer) {
    kj::throwFatalException(kj::mv(*first));
  }
}

void confineTo(kj::StringPtr directory) {
  int raw = open(directory.cStr(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  // Whoever works in there next says what is wrong with it.
  if (raw < 0) return;
  kj::AutoCloseFd fd(raw);
  KJ_SYSCALL(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  landlock::Ruleset ruleset(landlock::Tcp::refused);
  if (!ruleset.supported()) return;
  ruleset.allow(fd, landlock::readRights | landlock::writeRights | LANDLOCK_ACCESS_FS_MAKE_SYM);
  ruleset.enforce();
}

}  // namespace bulkhead
