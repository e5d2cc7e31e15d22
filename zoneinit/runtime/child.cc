// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/child.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "zoneinit/runtime/root-walk.h"
#include "zoneinit/runtime/syscall-filter.h"
#include "zoneinit/runtime/syscalls.h"

namespace bulkhead::zone {
namespace {

constexpr rlim_t kOpenFiles = 1 << 20;

void resetSignals() {
  for (int number = 1; number <= SIGRTMAX; ++number) signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

void join(const JoinPlan& plan) {
  // Its process namespace was chosen at birth; the cgroup likewise. setns(2) takes all at once.
  must(Step::joinNamespaces,
       setns(plan.process,
             CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET | CLONE_NEWCGROUP),
       "setns");
}

void bringLoopbackUp() {
  kj::AutoCloseFd fd(
      must(Step::loopback, socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "opening a socket"));
  ifreq request{};
  strcpy(request.ifr_name, "lo");
  must(Step::loopback, ioctl(fd, SIOCGIFFLAGS, &request), "lo");
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
  must(Step::loopback, ioctl(fd, SIOCSIFFLAGS, &request), "lo");
}

void makeContainer(const ContainerPlan& plan) {
  // Only now, since the namespace's root is the cgroup its maker is in.
  must(Step::cgroupNamespace, unshare(CLONE_NEWCGROUP), "unshare");
  must(Step::hostname, sethostname(plan.hostname, strlen(plan.hostname)), plan.hostname);
  if (plan.networkMode == NetworkMode::none) bringLoopbackUp();
  enterContainerMounts(plan.mounts);
}

// The kernel only ever protects the agent from the out-of-memory killer, not what it starts.
void becomeOrdinaryVictim() {
  int raw = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (raw < 0) return;
  kj::AutoCloseFd fd(raw);
  (void)!write(fd, "0", 1);
}

void setLimits() {
  umask(0022);
  rlimit files{kOpenFiles, kOpenFiles};
  if (setrlimit(RLIMIT_NOFILE, &files) != 0) {
    // Without CAP_SYS_RESOURCE: as far up as it goes.
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
      files.rlim_cur = files.rlim_max;
      setrlimit(RLIMIT_NOFILE, &files);
    }
  }
  rlimit none{0, 0};
  must(Step::limits, setrlimit(RLIMIT_CORE, &none), "RLIMIT_CORE");
}

void enterWorkingDirectory(const char* path) {
  kj::AutoCloseFd root(
      must(Step::workingDirectory, open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), "/"));
  KJ_IF_MAYBE (directory, openOrMakeDirectory(root, path)) {
    must(Step::workingDirectory, fchdir(*directory), path);
  } else {
    throw StepError{Step::workingDirectory, errno, path};
  }
  // A directory outside the root has no name in here, whatever way led to it.
  char name[4096];
  long length = syscall(SYS_getcwd, name, sizeof name);
  must(Step::workingDirectory, length, path);
  if (name[0] != '/') throw StepError{Step::workingDirectory, EXDEV, path};
}

void connectStreams(const ChildPlan& plan) {
  must(Step::terminal, setsid(), "setsid");
  if (plan.terminal) must(Step::terminal, ioctl(plan.streams[0], TIOCSCTTY, 0), "TIOCSCTTY");
  for (int stream : plan.streams) {
    // Programs reopen /dev/stdout as the user they run as. Pipes and terminals are the container's
    // own; anything else, like /dev/null, is shared.
    struct stat info{};
    must(Step::standardStreams, fstat(stream, &info), "fstat");
    if (!plan.terminal && !S_ISFIFO(info.st_mode)) continue;
    must(Step::standardStreams, fchown(stream, plan.user->user, static_cast<gid_t>(-1)),
         "changing the owner");
  }
  int number = 0;
  for (int stream : plan.streams) must(Step::standardStreams, dup2(stream, number++), "dup2");
}

void becomeUser(const ChildPlan& plan) {
  for (int number = 0; number <= kLastCapability; ++number) {
    if ((plan.capabilities >> number & 1) != 0) continue;
    // A kernel that does not know the number yet has nothing to drop.
    if (prctl(PR_CAPBSET_DROP, number, 0, 0, 0) != 0 && errno != EINVAL) {
      throw StepError{Step::capabilities, errno, "PR_CAPBSET_DROP"};
    }
  }
  auto& user = *plan.user;
  must(Step::user, setgroups(user.groups.size(), user.groups.begin()), "setgroups");
  must(Step::user, setresgid(user.group, user.group, user.group), "setresgid");
  // From root to another user the kernel clears every capability here.
  must(Step::user, setresuid(user.user, user.user, user.user), "setresuid");

  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[2]{};
  if (user.user == 0) {
    for (int half = 0; half < 2; ++half) {
      auto bits = static_cast<uint32_t>(plan.capabilities >> (32 * half));
      sets[half].effective = bits;
      sets[half].permitted = bits;
    }
  }
  must(Step::capabilities, syscall(SYS_capset, &header, sets), "capset");
  must(Step::capabilities, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
}

// As execvpe(3) searches, but as the container's user in the container's root, and telling why.
[[noreturn]] void execute(const ChildPlan& plan) {
  auto argv = const_cast<char* const*>(plan.arguments.begin());
  auto envp = const_cast<char* const*>(plan.environment.begin());
  const char* name = plan.arguments[0];
  KJ_IF_MAYBE (program, plan.program) {
    execveat(*program, "", argv, envp, AT_EMPTY_PATH);
    throw StepError{Step::execute, errno, name};
  }
  if (strchr(name, '/') != nullptr) {
    execve(name, argv, envp);
    throw StepError{Step::execute, errno, name};
  }
  int error = ENOENT;
  char candidate[4096];
  for (const char* at = plan.searchPath;; ++at) {
    const char* end = strchrnul(at, ':');
    auto length = static_cast<size_t>(end - at);
    // An empty part would mean the working directory, which nobody should rely on.
    if (length > 0 && length + strlen(name) + 2 <= sizeof candidate) {
      memcpy(candidate, at, length);
      candidate[length] = '/';
      strcpy(candidate + length + 1, name);
      struct stat info{};
      bool directory = stat(candidate, &info) == 0 && S_ISDIR(info.st_mode);
      if (!directory) execve(candidate, argv, envp);
      // A file that is there and cannot be run is remembered; one further on may still run.
      if (!directory && errno != ENOENT && errno != ENOTDIR) error = errno;
    }
    if (*end == '\0') break;
    at = end;
  }
  throw StepError{Step::execute, error, name};
}

}  // namespace

void runChild(const ChildPlan& plan) {
  StepReport report{};
  try {
    resetSignals();
    becomeOrdinaryVictim();
    KJ_IF_MAYBE (container, plan.container) {
      makeContainer(*container);
    }
    KJ_IF_MAYBE (target, plan.join) {
      join(*target);
    }
    enterWorkingDirectory(plan.workingDirectory);
    connectStreams(plan);
    setLimits();
    // Nothing of the agent's goes on living in the program.
    must(Step::standardStreams, close_range(3, ~0U, CLOSE_RANGE_CLOEXEC), "close_range");
    becomeUser(plan);
    loadSystemCallFilter(plan.capabilities);
    execute(plan);
  } catch (const StepError& error) {
    report.step = error.step;
    report.error = error.error;
    strncpy(report.detail, error.detail, sizeof report.detail - 1);
  } catch (...) {
    report.step = Step::execute;
    report.error = EIO;
  }
  (void)!write(plan.report, &report, sizeof report);
  _exit(127);
}

}  // namespace bulkhead::zone
