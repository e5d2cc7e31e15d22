// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/init/agent-keeper.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "zoneinit/agent/exit-codes.h"
#include "zoneinit/init/console.h"
#include "zoneinit/init/power.h"

namespace bulkhead::init {
namespace {

constexpr char kAgent[] = "/bin/zone";
constexpr int kCannotExecute = 127;

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kShortLife = 10 * kSecond;   // an agent that lives longer died of something new
constexpr int64_t kFirstPause = kSecond / 10;  // doubled with each short life
constexpr int64_t kLongestPause = 10 * kSecond;

int64_t now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * kSecond + time.tv_nsec;
}

sigset_t watchedSignals() {
  sigset_t set;
  sigemptyset(&set);
  for (int number : {SIGCHLD, SIGTERM, SIGINT, SIGPWR}) sigaddset(&set, number);
  return set;
}

class Keeper {
 public:
  explicit Keeper(char** environment) : environment(environment), watched(watchedSignals()) {
    // Taken by sigtimedwait(2) only.
    sigprocmask(SIG_BLOCK, &watched, nullptr);
  }

  [[noreturn]] void run() {
    start();
    for (;;) {
      siginfo_t info{};
      int number = waitForSignal(info);
      if (number == SIGTERM || number == SIGINT || number == SIGPWR) askToEnd();
      // One SIGCHLD may stand for many.
      reapAll();
      if (agent == 0 && now() >= startAt) start();
    }
  }

 private:
  char** environment;
  sigset_t watched;
  pid_t agent = 0;  // 0: between two
  int64_t startedAt = 0;
  int64_t startAt = 0;
  int64_t pauseLength = kFirstPause;

  // -1 when the time to start the agent again has come.
  int waitForSignal(siginfo_t& info) {
    if (agent != 0) return sigwaitinfo(&watched, &info);
    int64_t left = std::max<int64_t>(0, startAt - now());
    timespec patience{left / kSecond, left % kSecond};
    return sigtimedwait(&watched, &info, &patience);
  }

  void start() {
    pid_t child = fork();
    if (child == 0) {
      sigprocmask(SIG_UNBLOCK, &watched, nullptr);
      setsid();
      char name[] = "zone";
      char* arguments[] = {name, nullptr};
      execve(kAgent, arguments, environment);
      say("cannot execute %s: %s", kAgent, strerror(errno));
      _exit(kCannotExecute);
    }
    startedAt = now();
    if (child < 0) {
      say("cannot start the agent: %s", strerror(errno));
      pauseBeforeNext();
      return;
    }
    agent = child;
  }

  void pauseBeforeNext() {
    agent = 0;
    startAt = now() + pauseLength;
    pauseLength = std::min(pauseLength * 2, kLongestPause);
  }

  void askToEnd() {
    if (agent == 0) endZone(ZoneEnd::powerOff);
    kill(agent, SIGTERM);
  }

  void reapAll() {
    for (;;) {
      int status = 0;
      pid_t gone = waitpid(-1, &status, WNOHANG);
      if (gone < 0 && errno == EINTR) continue;
      if (gone <= 0) return;
      if (gone == agent) agentEnded(status);
    }
  }

  void agentEnded(int status) {
    if (WIFEXITED(status)) {
      switch (WEXITSTATUS(status)) {
        case zone::kExitPowerOff:
          endZone(ZoneEnd::powerOff);
        case zone::kExitReboot:
          endZone(ZoneEnd::reboot);
        case kCannotExecute:
          errno = ENOEXEC;
          giveUp(kAgent);
        default:
          say("the agent ended with code %d", WEXITSTATUS(status));
      }
    } else {
      say("the agent was killed by signal %d", WTERMSIG(status));
    }
    if (now() - startedAt > kShortLife) pauseLength = kFirstPause;
    pauseBeforeNext();
  }
};

}  // namespace

void keepAgent(char** environment) { Keeper(environment).run(); }

}  // namespace bulkhead::init
