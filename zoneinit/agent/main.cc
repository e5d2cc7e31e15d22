// SPDX-License-Identifier: Apache-2.0
//
// /bin/zone: the agent. Serves ZoneAgent to dom0 over the zone's ring and runs its containers.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <kj/async-unix.h>
#include <kj/debug.h>

#include "services/runtime/failure.h"
#include "services/runtime/log.h"
#include "services/runtime/passed-fds.h"
#include "zoneinit/agent/exit-codes.h"
#include "zoneinit/agent/files-main.h"
#include "zoneinit/agent/sessions.h"
#include "zoneinit/agent/shutdown-watch.h"
#include "zoneinit/agent/transport.h"
#include "zoneinit/agent/zone-agent.h"

namespace {

using namespace bulkhead;
using namespace bulkhead::zone;

// Tests put the tree elsewhere; in a zone nothing sets these.
kj::String pathFrom(const char* variable, kj::String otherwise) {
  const char* value = getenv(variable);
  return value == nullptr ? kj::mv(otherwise) : kj::str(value);
}

// Lost with the watch: the toolstack can still destroy the domain.
kj::Promise<kj::String> whenToldToEnd(kj::UnixEventPort& eventPort, Log& log) {
  int raw = open("/dev/xen/xenbus", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (raw >= 0) {
    try {
      co_return co_await whenShutdownIsAsked(eventPort, kj::AutoCloseFd(raw));
    } catch (...) {
      log.error("cannot watch for a shutdown request",
                {field("ERROR", kj::getCaughtExceptionAsKj().getDescription())});
    }
  }
  co_await kj::Promise<void>(kj::NEVER_DONE);
  KJ_UNREACHABLE;
}

int run() {
  auto passed = PassedFds::receive();
  signal(SIGPIPE, SIG_IGN);
  kj::UnixEventPort::captureSignal(SIGTERM);
  // What is between birth and program in a container carries this memory: nobody looks at it.
  KJ_SYSCALL(prctl(PR_SET_DUMPABLE, 0));
  auto io = kj::setupAsyncIo();
  auto& timer = io.provider->getTimer();
  Log log("zone");

  RuntimePaths paths;
  paths.devices = pathFrom("BULKHEAD_ZONE_DEVICES", kj::mv(paths.devices));
  paths.cgroups = pathFrom("BULKHEAD_ZONE_CGROUP", kj::mv(paths.cgroups));
  clearLeftoverRoots(paths);
  CgroupTree cgroups(io.unixEventPort, paths.cgroups);
  RuntimeContext context{io.unixEventPort, timer, kj::mv(paths), cgroups};
  Interfaces interfaces(io.unixEventPort, log);
  schema::ZoneAgent::Client agent = kj::heap<ZoneAgentServer>(context, interfaces, log);

  kj::Own<Transport> transport;
  KJ_IF_MAYBE (listener, passed.takeIfPassed("agent")) {
    transport = socketTransport(*io.lowLevelProvider, kj::mv(*listener));
  } else {
    transport = ringTransport(io.unixEventPort, timer);
  }
  passed.expectAllTaken();

  ConnectionLimits limits;
  limits.fdsPerMessage = 0;
  auto links = interfaces.run().eagerlyEvaluate([&log](kj::Exception&& exception) {
    log.error("following links failed", {field("ERROR", exception.getDescription())});
  });
  auto sessions =
      serveSessions(*transport, timer, limits, agent, log).then([]() { return kj::str(); });
  auto terminated =
      io.unixEventPort.onSignal(SIGTERM).then([](siginfo_t) { return kj::str("poweroff"); });
  auto order = sessions.exclusiveJoin(kj::mv(terminated))
                   .exclusiveJoin(whenToldToEnd(io.unixEventPort, log))
                   .wait(io.waitScope);
  log.info("ending", {field("REQUEST", order)});
  // The containers' own state is what /init stops next; nothing here is worth tearing down.
  _exit(order == "reboot" ? kExitReboot : kExitPowerOff);
}

}  // namespace

int main(int argc, char** argv) {
  kj::ArrayPtr<const char* const> arguments(argv, static_cast<size_t>(argc));
  if (argc > 0 && arguments[0] == kFilesProgram) return filesMain(arguments);
  try {
    return run();
  } catch (...) {
    auto failure = bulkhead::failureOf(kj::getCaughtExceptionAsKj());
    bulkhead::Log("zone").error("ending after an error",
                                {bulkhead::field("ERROR", failure.describe())});
    return 1;
  }
}
