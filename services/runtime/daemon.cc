// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/daemon.h"

#include <signal.h>
#include <sys/prctl.h>

#include <kj/debug.h>
#include <kj/timer.h>

#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

// Signals must be captured before the event port is made use of.
kj::AsyncIoContext setupLoop() {
  kj::UnixEventPort::captureSignal(SIGTERM);
  kj::UnixEventPort::captureSignal(SIGINT);
  // A peer that closed its end is an error of that call, not of this process.
  signal(SIGPIPE, SIG_IGN);
  return kj::setupAsyncIo();
}

kj::Promise<void> keepWatchdogFed(kj::Timer& timer, Notifier& notifier, kj::Duration interval) {
  for (;;) {
    notifier.watchdog();
    co_await timer.afterDelay(interval / 2);
  }
}

}  // namespace

Daemon::Daemon(kj::StringPtr nameParam)
    : name(kj::str(nameParam)), logger(nameParam), io(setupLoop()) {
  prctl(PR_SET_NAME, name.cStr());
}

int Daemon::run(kj::Promise<void> service) {
  kj::Promise<void> watchdog = nullptr;
  KJ_IF_MAYBE (interval, notifier.watchdogInterval()) {
    watchdog = keepWatchdogFed(timer(), notifier, *interval).eagerlyEvaluate(nullptr);
  }
  auto ended =
      eventPort().onSignal(SIGTERM).exclusiveJoin(eventPort().onSignal(SIGINT)).then([](siginfo_t) {
      });
  notifier.ready();
  int code = 0;
  try {
    service.exclusiveJoin(kj::mv(ended)).wait(waitScope());
  } catch (...) {
    auto exception = kj::getCaughtExceptionAsKj();
    logger.error("ending after an error", {field("ERROR", failureOf(exception).describe())});
    code = 1;
  }
  notifier.stopping();
  return code;
}

}  // namespace bulkhead
