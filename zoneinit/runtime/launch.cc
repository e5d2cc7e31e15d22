// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <kj/debug.h>

#include "services/runtime/failure.h"
#include "zoneinit/runtime/syscalls.h"

namespace bulkhead::zone {
namespace {

// Children that this process makes while the object lives are born into another process namespace.
class BirthNamespace {
 public:
  explicit BirthNamespace(int process) {
    int raw;
    KJ_SYSCALL(raw = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC));
    own = kj::AutoCloseFd(raw);
    if (setns(process, CLONE_NEWPID) != 0) {
      fail(FailureCode::BUSY, "the container", kj::str("it has ended: ", strerror(errno)));
    }
  }
  ~BirthNamespace() noexcept(false) {
    // Staying in the wrong one would put every later container inside this one.
    KJ_SYSCALL(setns(own, CLONE_NEWPID));
  }
  KJ_DISALLOW_COPY_AND_MOVE(BirthNamespace);

 private:
  kj::AutoCloseFd own;
};

[[noreturn]] void failReport(const StepReport& report, kj::StringPtr command) {
  auto reason = kj::str(stepName(report.step), ": ",
                        kj::heapString(report.detail, strnlen(report.detail, sizeof report.detail)),
                        ": ", strerror(report.error));
  auto shown = printable(command, 256);
  if (report.step == Step::execute) {
    switch (report.error) {
      case ENOENT:
      case ENOTDIR:
        fail(FailureCode::COMMAND_NOT_FOUND, shown,
             kj::str("the container has no such command (", reason, ")"),
             "look at the image's files and at PATH; a script also needs its interpreter");
      case EACCES:
      case EPERM:
      case ENOEXEC:
      case EISDIR:
      case ELIBBAD:
      case EINVAL:
      case ETXTBSY:
        fail(FailureCode::COMMAND_NOT_EXECUTABLE, shown,
             kj::str("the command cannot be executed (", reason, ")"),
             "it must be a program for this machine, or a script with #!, with permission to "
             "execute");
      case E2BIG:
        fail(FailureCode::INVALID, shown,
             kj::str("arguments and environment are too large (", reason, ")"));
      default:
        break;
    }
  }
  if (report.step == Step::workingDirectory) {
    fail(FailureCode::INVALID,
         kj::heapString(report.detail, strnlen(report.detail, sizeof report.detail)),
         kj::str("cannot start in this working directory (", reason, ")"));
  }
  fail(FailureCode::INTERNAL, shown, kj::str("the container could not be set up: ", reason));
}

}  // namespace

Launched launch(ChildPlan plan, int cgroup) {
  int ends[2];
  KJ_SYSCALL(pipe2(ends, O_CLOEXEC | O_NONBLOCK));
  kj::AutoCloseFd report(ends[0]), childReport(ends[1]);
  plan.report = childReport;

  kj::Maybe<kj::Own<BirthNamespace>> birth;
  KJ_IF_MAYBE (join, plan.join) {
    birth = kj::heap<BirthNamespace>(join->process);
  }

  int process = -1;
  clone_args arguments{};
  arguments.flags = CLONE_PIDFD | CLONE_INTO_CGROUP;
  KJ_IF_MAYBE (container, plan.container) {
    arguments.flags |= CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS;
    if (container->networkMode == NetworkMode::none) arguments.flags |= CLONE_NEWNET;
  }
  arguments.pidfd = reinterpret_cast<uintptr_t>(&process);
  arguments.exit_signal = SIGCHLD;
  arguments.cgroup = static_cast<uint64_t>(cgroup);

  pid_t number = clone3(arguments);
  if (number == 0) runChild(plan);
  if (number < 0) {
    int error = errno;
    if (error == ENOMEM && plan.join != nullptr) {
      fail(FailureCode::BUSY, "the container", "it has ended");
    }
    if (error == EAGAIN || error == ENOMEM) {
      fail(FailureCode::EXHAUSTED, "the container",
           kj::str("no room for another process: ", strerror(error)),
           "its limit of processes or the zone's memory is used up");
    }
    fail(FailureCode::INTERNAL, "the container", kj::str("making a process: ", strerror(error)));
  }
  return {number, kj::AutoCloseFd(process), kj::mv(report)};
}

kj::Promise<void> setUpResult(kj::UnixEventPort& eventPort, kj::AutoCloseFd report,
                              kj::StringPtr commandParam) {
  auto command = kj::str(commandParam);
  kj::UnixEventPort::FdObserver observer(eventPort, report,
                                         kj::UnixEventPort::FdObserver::OBSERVE_READ);
  StepReport result{};
  for (;;) {
    ssize_t n = read(report, &result, sizeof result);
    if (n == 0) co_return;
    if (n == sizeof result) break;
    if (n > 0 || (errno != EAGAIN && errno != EINTR)) {
      fail(FailureCode::INTERNAL, command, "the report of the set-up was cut off");
    }
    if (errno == EAGAIN) co_await observer.whenBecomesReadable();
  }
  failReport(result, command);
}

}  // namespace bulkhead::zone
