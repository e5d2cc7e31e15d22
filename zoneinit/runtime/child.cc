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
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "zoneinit/runtime/root-walk.h"
#include "zoneinit/runtime/syscalls.h"

namespace bulkhead::zone {
namespace {

constexpr mode_t kSetUpMask = 0022;

void resetSignals() {
  for (int number = 1; number <= SIGRTMAX; ++number) signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

// The parent writes the mappings of a new user namespace, and then closes its end; ours of that end
// is closed already. Where it dies first this goes on without mappings and fails.
void waitForParent(const ChildPlan& plan) {
  char none;
  ssize_t n;
  do {
    n = read(plan.go, &none, 1);
  } while (n < 0 && errno == EINTR);
  must(Step::userNamespace, n, "waiting for the mappings");
}

// Until then nobody there knows this process's user; files it makes shall be root's.
void becomeNamespaceRoot() {
  must(Step::userNamespace, setgroups(0, nullptr), "setgroups");
  must(Step::userNamespace, setresgid(0, 0, 0), "setresgid");
  must(Step::userNamespace, setresuid(0, 0, 0), "setresuid");
}

// Its process namespace was chosen at birth; the cgroup likewise. setns(2) takes all at once.
void join(const NamespaceJoin& plan) {
  must(Step::joinNamespaces, setns(plan.process, plan.namespaces), "setns");
  if ((plan.namespaces & CLONE_NEWUSER) != 0) becomeNamespaceRoot();
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
  if ((plan.fresh & CLONE_NEWUSER) != 0) becomeNamespaceRoot();
  for (auto& each : plan.joined) join(each);
  // Only now, since the namespace's root is the cgroup its maker is in.
  if ((plan.fresh & CLONE_NEWCGROUP) != 0) {
    must(Step::cgroupNamespace, unshare(CLONE_NEWCGROUP), "unshare");
  }
  if (plan.hostname != nullptr) {
    must(Step::hostname, sethostname(plan.hostname, strlen(plan.hostname)), plan.hostname);
  }
  if (plan.domainName[0] != '\0') {
    must(Step::hostname, setdomainname(plan.domainName, strlen(plan.domainName)), plan.domainName);
  }
  if ((plan.fresh & CLONE_NEWNET) != 0) bringLoopbackUp();
  enterContainerMounts(plan.mounts);
  if (plan.users >= 0) join(NamespaceJoin{plan.users, CLONE_NEWUSER});
}

// What the agent itself is protected by, it hands to nobody.
void setOomScore(const char* score) {
  kj::AutoCloseFd fd(must(Step::memoryScore, open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC),
                          "oom_score_adj"));
  must(Step::memoryScore, write(fd, score, strlen(score)), score);
}

void setLimits(kj::ArrayPtr<const ResourceLimit> limits) {
  for (auto& each : limits) {
    auto resource = static_cast<__rlimit_resource>(each.resource);
    rlimit limit{each.soft, each.hard};
    if (each.firmness == ResourceLimit::Firmness::asFarAsItGoes) {
      rlimit now{};
      must(Step::limits, prlimit(0, resource, nullptr, &now), "getrlimit");
      limit.rlim_max = std::min(limit.rlim_max, now.rlim_max);
      limit.rlim_cur = std::min(limit.rlim_cur, now.rlim_max);
    }
    must(Step::limits, prlimit(0, resource, &limit, nullptr), "setrlimit");
  }
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
  int number = 0;
  for (int stream : plan.streams) must(Step::standardStreams, dup2(stream, number++), "dup2");
}

void setCapabilities(CapabilityMask effective, CapabilityMask inheritable) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[2]{};
  for (int half = 0; half < 2; ++half) {
    auto bits = static_cast<uint32_t>(effective >> (32 * half));
    sets[half].effective = bits;
    sets[half].permitted = bits;
    sets[half].inheritable = static_cast<uint32_t>(inheritable >> (32 * half));
  }
  must(Step::capabilities, syscall(SYS_capset, &header, sets), "capset");
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
  // From root to another user the kernel clears every capability otherwise.
  must(Step::capabilities, prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), "PR_SET_KEEPCAPS");
  must(Step::user, setresuid(user.user, user.user, user.user), "setresuid");
  setCapabilities(user.user == 0 ? plan.capabilities : plan.ambient, plan.ambient);
  for (int number = 0; number <= kLastCapability; ++number) {
    if ((plan.ambient >> number & 1) == 0) continue;
    must(Step::capabilities, prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0),
         "PR_CAP_AMBIENT_RAISE");
  }
}

// Opened while /proc is the zone's: a container can put anything in the place of its own.
kj::AutoCloseFd openAppArmor(const char* profile) {
  if (profile[0] == '\0') return {};
  return kj::AutoCloseFd(
      must(Step::appArmor, open("/proc/self/attr/apparmor/exec", O_WRONLY | O_CLOEXEC), profile));
}

void chooseAppArmorProfile(int file, const char* profile) {
  if (file < 0) return;
  // In one piece, as the kernel wants it.
  iovec parts[] = {{const_cast<char*>("exec "), 5}, {const_cast<char*>(profile), strlen(profile)}};
  must(Step::appArmor, writev(file, parts, 2), profile);
}

// The descriptors a child needs.
class Needed {
 public:
  void add(int fd) {
    if (fd < 0) return;
    // No plan has as many.
    if (count == fds.size()) throw StepError{Step::standardStreams, E2BIG, "descriptors"};
    fds[count++] = fd;
  }

  // Closes all the others. 0 to 2 stay taken until the streams take their place: whatever is opened
  // under one of these numbers meanwhile would be lost to them.
  void keepAlone() {
    std::sort(fds.begin(), fds.begin() + count);
    unsigned from = STDERR_FILENO + 1;
    for (size_t i = 0; i < count; ++i) {
      auto kept = static_cast<unsigned>(fds[i]);
      if (kept > from) close_range(from, kept - 1, 0);
      from = kept + 1;
    }
    close_range(from, ~0U, 0);
  }

 private:
  std::array<int, 128> fds{};
  size_t count = 0;
};

// Whoever can look into a process of the container's process namespace shall not find the agent's
// descriptors in one that is being set up.
void keepNeeded(const ChildPlan& plan) {
  Needed needed;
  needed.add(plan.reportEnd);
  needed.add(plan.go);
  needed.add(plan.program.orDefault(-1));
  for (int stream : plan.streams) needed.add(stream);
  KJ_IF_MAYBE (target, plan.join) {
    needed.add(target->process);
  }
  KJ_IF_MAYBE (container, plan.container) {
    for (auto& each : container->joined) needed.add(each.process);
    needed.add(container->users);
    needed.add(container->mounts.devices);
    needed.add(container->mounts.pseudoTerminals);
    for (auto& mount : container->mounts.mounts) needed.add(mount.source);
  }
  needed.keepAlone();
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

void loadFilter(const ChildPlan& plan) {
  KJ_IF_MAYBE (filter, plan.systemCalls) {
    loadSystemCallFilter(filter->program, filter->flags);
  }
}

}  // namespace

void raiseLimits(pid_t process, kj::ArrayPtr<const ResourceLimit> limits) {
  for (auto& each : limits) {
    auto resource = static_cast<__rlimit_resource>(each.resource);
    rlimit limit{};
    if (prlimit(process, resource, nullptr, &limit) != 0 || each.hard <= limit.rlim_max) continue;
    limit.rlim_max = each.hard;
    prlimit(process, resource, &limit, nullptr);
  }
}

void runChild(const ChildPlan& plan) {
  auto& report = *plan.report;
  try {
    resetSignals();
    keepNeeded(plan);
    auto appArmor = openAppArmor(plan.appArmorProfile);
    if (plan.go >= 0) {
      waitForParent(plan);
    } else {
      setOomScore(plan.oomScoreAdjust);
    }
    // Up now, since a user namespace takes the right to; down when no more descriptors are needed.
    raiseLimits(0, plan.limits);
    umask(kSetUpMask);
    KJ_IF_MAYBE (container, plan.container) {
      makeContainer(*container);
    }
    KJ_IF_MAYBE (target, plan.join) {
      join(*target);
    }
    enterWorkingDirectory(plan.workingDirectory);
    connectStreams(plan);
    chooseAppArmorProfile(appArmor, plan.appArmorProfile);
    // Nothing of the agent's goes on living in the program.
    must(Step::standardStreams, close_range(3, ~0U, CLOSE_RANGE_CLOEXEC), "close_range");
    setLimits(plan.limits);
    umask(plan.umask);
    // Only with no_new_privs may whoever has no capabilities load a filter.
    if (plan.privileges == Privileges::gainable) loadFilter(plan);
    becomeUser(plan);
    if (plan.privileges == Privileges::neverGained) {
      must(Step::capabilities, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
      loadFilter(plan);
    }
    execute(plan);
  } catch (const StepError& error) {
    report.step = error.step;
    report.error = error.error;
    strncpy(report.detail, error.detail, sizeof report.detail - 1);
  } catch (...) {
    report.step = Step::execute;
    report.error = EIO;
  }
  report.failed = true;
  _exit(127);
}

}  // namespace bulkhead::zone
