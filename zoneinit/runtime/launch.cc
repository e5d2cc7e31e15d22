// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <kj/debug.h>

#include "services/runtime/failure.h"
#include "services/runtime/pipe.h"
#include "zoneinit/runtime/kernel-files.h"
#include "zoneinit/runtime/syscalls.h"
#include "zoneinit/runtime/user-namespace.h"

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
  if (report.step == Step::appArmor && report.error == ENOENT) {
    fail(FailureCode::UNSUPPORTED, shown, kj::str("this kernel has no AppArmor (", reason, ")"));
  }
  // Namespaces of other users' than the container's.
  bool foreign = report.step == Step::joinNamespaces && report.error == EPERM;
  // What the specification asks for and the kernel will not have.
  if (report.step == Step::listedMount || report.step == Step::systemSettings ||
      report.step == Step::limits || report.step == Step::appArmor ||
      report.step == Step::memoryScore || foreign) {
    fail(FailureCode::INVALID, shown, kj::str("the container could not be set up: ", reason));
  }
  if (report.step == Step::workingDirectory) {
    fail(FailureCode::INVALID,
         kj::heapString(report.detail, strnlen(report.detail, sizeof report.detail)),
         kj::str("cannot start in this working directory (", reason, ")"));
  }
  fail(FailureCode::INTERNAL, shown, kj::str("the container could not be set up: ", reason));
}

// What only somebody outside the new user namespace may do, then the sign to go on.
void releaseIntoNamespace(const ChildPlan& plan, Launched& launched) {
  KJ_ON_SCOPE_FAILURE({
    pidfdSendSignal(launched.process, SIGKILL);
    siginfo_t ended{};
    waitid(P_PIDFD, static_cast<id_t>(launched.process.get()), &ended, WEXITED);
  });
  writeMappings(launched.number, *KJ_ASSERT_NONNULL(plan.container).mounts.settings);
  raiseLimits(launched.number, plan.limits);
  // Written by itself it could lower it again: the kernel keeps what the agent had as its bound.
  bool set = writeKernelFile(AT_FDCWD, kj::str("/proc/", launched.number, "/oom_score_adj"),
                             plan.oomScoreAdjust);
  KJ_REQUIRE(set, "cannot set oom_score_adj", strerror(errno));
}

}  // namespace

Launched launch(ChildPlan plan, int cgroup) {
  SetUpReport report;
  plan.report = report.page();
  plan.reportEnd = report.childEnd();

  kj::Maybe<kj::Own<BirthNamespace>> birth;
  if (plan.birth >= 0) birth = kj::heap<BirthNamespace>(plan.birth);

  int process = -1;
  clone_args arguments{};
  arguments.flags = CLONE_PIDFD | CLONE_INTO_CGROUP;
  kj::AutoCloseFd go, childGo;
  KJ_IF_MAYBE (container, plan.container) {
    // A cgroup namespace's root is the cgroup that its maker is in: the child makes it.
    arguments.flags |= CLONE_NEWNS | (container->fresh & ~uint64_t{CLONE_NEWCGROUP});
    if ((container->fresh & CLONE_NEWUSER) != 0) {
      auto pipe = makePipe();
      childGo = kj::mv(pipe.read);
      go = kj::mv(pipe.write);
    }
  }
  plan.go = childGo;
  arguments.pidfd = reinterpret_cast<uintptr_t>(&process);
  arguments.exit_signal = SIGCHLD;
  arguments.cgroup = static_cast<uint64_t>(cgroup);

  pid_t number = clone3(arguments);
  if (number == 0) runChild(plan);
  if (number < 0) {
    int error = errno;
    if (error == ENOMEM && plan.birth >= 0) {
      fail(FailureCode::BUSY, "the container", "it has ended");
    }
    if (error == EAGAIN || error == ENOMEM) {
      fail(FailureCode::EXHAUSTED, "the container",
           kj::str("no room for another process: ", strerror(error)),
           "its limit of processes or the zone's memory is used up");
    }
    fail(FailureCode::INTERNAL, "the container", kj::str("making a process: ", strerror(error)));
  }
  report.closeChildEnd();
  Launched launched{number, kj::AutoCloseFd(process), kj::mv(report)};
  if (plan.go >= 0) releaseIntoNamespace(plan, launched);
  return launched;
}

kj::Promise<void> setUpResult(kj::UnixEventPort& eventPort, SetUpReport report,
                              kj::StringPtr commandParam) {
  auto command = kj::str(commandParam);
  kj::UnixEventPort::FdObserver observer(eventPort, report.parentEnd(),
                                         kj::UnixEventPort::FdObserver::OBSERVE_READ);
  for (;;) {
    char none;
    ssize_t n = read(report.parentEnd(), &none, 1);
    if (n == 0) break;
    if (n < 0 && errno == EAGAIN) {
      co_await observer.whenBecomesReadable();
    } else if (n > 0 || errno != EINTR) {
      fail(FailureCode::INTERNAL, command, "the report of the set-up was cut off");
    }
  }
  if (report.page()->failed) failReport(*report.page(), command);
}

}  // namespace bulkhead::zone
