// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include <kj/debug.h>

#include "services/runtime/failure.h"
#include "services/runtime/files.h"
#include "zoneinit/runtime/device-filter.h"
#include "zoneinit/runtime/kernel-files.h"

namespace bulkhead::zone {
namespace {

constexpr uint32_t kMostPidsByDefault = 4096;
constexpr kj::StringPtr kControllers[] = {"memory"_kj, "pids"_kj,   "cpu"_kj,
                                          "io"_kj,     "cpuset"_kj, "hugetlb"_kj};
constexpr uint kPatienceAtStart = 100;

// A privileged container makes parts of its own; we take them apart again.
constexpr kj::StringPtr kMostDepth = "16"_kj, kMostParts = "1024"_kj;

bool hasWord(kj::StringPtr content, kj::StringPtr word) {
  auto padded = kj::str(" ", content.slice(0, content.size()), " ");
  for (char& c : padded.asArray()) {
    if (c == '\n') c = ' ';
  }
  return strstr(padded.cStr(), kj::str(" ", word, " ").cStr()) != nullptr;
}

kj::AutoCloseFd openDirectory(kj::StringPtr path) {
  int raw = open(path.cStr(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  KJ_REQUIRE(raw >= 0, "cannot open a cgroup", path, strerror(errno));
  return kj::AutoCloseFd(raw);
}

kj::AutoCloseFd makeDirectory(kj::StringPtr path) {
  if (mkdir(path.cStr(), 0755) != 0) {
    int error = errno;
    auto code = error == EEXIST   ? FailureCode::BUSY
                : error == EAGAIN ? FailureCode::EXHAUSTED
                                  : FailureCode::INTERNAL;
    fail(code, path, kj::str("cannot make a cgroup: ", strerror(error)));
  }
  return openDirectory(path);
}

// Takes a tree of cgroups apart whose processes were killed. Waits for the kernel to say that
// nothing lives in one, as long as there is patience left for all of it together; what is still
// busy then stays for the next start of the agent.
class Clearing {
 public:
  explicit Clearing(uint patience) : patience(patience) {}

  void parts(int cgroup) {
    int copy = openat(cgroup, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR* listing = copy < 0 ? nullptr : fdopendir(copy);
    if (listing == nullptr) return;
    KJ_DEFER(closedir(listing));
    while (dirent* entry = readdir(listing)) {
      kj::StringPtr name = entry->d_name;
      if (entry->d_type == DT_DIR && name != "." && name != "..") one(cgroup, entry->d_name);
    }
  }

 private:
  uint patience;  // waits of a tenth of a second

  void one(int parent, const char* name) {
    int raw = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (raw < 0) return;
    kj::AutoCloseFd fd(raw);
    killCgroup(fd);
    parts(fd);
    while (unlinkat(parent, name, AT_REMOVEDIR) != 0 && patience > 0) {
      --patience;
      int events = openat(fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
      if (events < 0) return;
      kj::AutoCloseFd eventsFd(events);
      char buffer[256];
      (void)!read(eventsFd, buffer, sizeof buffer);
      pollfd wait{events, POLLPRI, 0};
      poll(&wait, 1, 100);
    }
  }
};

bool populated(int cgroup) {
  return numberOfLine(readKernelFile(cgroup, "cgroup.events"), "populated") != 0;
}

uint32_t defaultPids() {
  auto content = readKernelFile(AT_FDCWD, "/proc/sys/kernel/threads-max");
  uint64_t most = content.size() > 0 ? leadingNumber(content.cStr()) : kMostPidsByDefault;
  // The rest is for the agent, which must be able to start the exec that looks at a fork bomb.
  return static_cast<uint32_t>(std::min<uint64_t>(most / 4 * 3, kMostPidsByDefault));
}

}  // namespace

CgroupTree::CgroupTree(kj::UnixEventPort& eventPortParam, kj::StringPtr baseParam)
    : eventPort(eventPortParam), base(kj::str(baseParam)), directory(kj::str(base, "/workloads")) {
  auto top = openDirectory(base);
  auto controllers = readKernelFile(top, "cgroup.controllers");
  // One by one: a single refusal must not take the others with it.
  for (auto each : kControllers) {
    if (!hasWord(controllers, each)) continue;
    writeKernelFile(top, "cgroup.subtree_control", kj::str("+", each));
  }
  if (mkdir(directory.cStr(), 0755) != 0 && errno != EEXIST) {
    KJ_FAIL_REQUIRE("cannot make a cgroup", directory, strerror(errno));
  }
  auto own = openDirectory(directory);
  auto given = readKernelFile(own, "cgroup.controllers");
  for (auto each : kControllers) {
    bool handedDown =
        hasWord(given, each) && writeKernelFile(own, "cgroup.subtree_control", kj::str("+", each));
    if (each == "memory") memory = handedDown;
    if (each == "pids") pids = handedDown;
  }
  Clearing(kPatienceAtStart).parts(own);
}

Cgroup::Cgroup(CgroupTree& tree, kj::StringPtr name, CgroupLimits limits,
               const ContainerSettings& settings)
    : eventPort(tree.port()), top(kj::str(tree.top())), path(kj::str(tree.path(), "/", name)) {
  directory = makeDirectory(path);
  KJ_ON_SCOPE_FAILURE(rmdir(path.cStr()));
  limit(tree, limits);
  writeKernelFile(directory, "cgroup.max.depth", kMostDepth);
  writeKernelFile(directory, "cgroup.max.descendants", kMostParts);
  for (auto& setting : settings.cgroup) apply(setting);
  if (settings.confinement == Confinement::confined) {
    attachDeviceFilter(directory, settings.devices);
  }
}

Cgroup::Cgroup(const Cgroup& whole, kj::StringPtr name)
    : eventPort(whole.eventPort), top(kj::str(whole.top)), path(kj::str(whole.path, "/", name)) {
  directory = makeDirectory(path);
}

void Cgroup::limit(const CgroupTree& tree, CgroupLimits limits) {
  if (limits.memoryBytes != 0 && !tree.hasMemory()) {
    fail(FailureCode::UNSUPPORTED, "memoryLimitBytes", "this kernel has no memory controller");
  }
  if (limits.pids != 0 && !tree.hasPids()) {
    fail(FailureCode::UNSUPPORTED, "pidsLimit", "this kernel has no pids controller");
  }
  if (limits.memoryBytes != 0) {
    bool set = writeKernelFile(directory, "memory.max", kj::str(limits.memoryBytes));
    KJ_REQUIRE(set, "cannot set the memory limit", path, strerror(errno));
    writeKernelFile(directory, "memory.swap.max", "0");
  }
  if (tree.hasMemory()) writeKernelFile(directory, "memory.oom.group", "1");
  if (tree.hasPids()) {
    uint32_t most = limits.pids != 0 ? limits.pids : defaultPids();
    bool set = writeKernelFile(directory, "pids.max", kj::str(most));
    KJ_REQUIRE(set, "cannot set the limit of processes", path, strerror(errno));
  }
}

void Cgroup::apply(const Setting& setting) {
  if (writeKernelFile(directory, setting.key, setting.value)) return;
  int error = errno;
  if (error == ENOENT || error == EACCES) {
    fail(FailureCode::UNSUPPORTED, printable(setting.key, 128),
         kj::str("this kernel has no such setting of a cgroup: ", strerror(error)));
  }
  fail(FailureCode::INVALID, printable(setting.key, 128),
       kj::str("the kernel refuses '", printable(setting.value, 128), "': ", strerror(error)));
}

Cgroup::~Cgroup() noexcept(false) {
  kill();
  Clearing(0).parts(directory);
  if (rmdir(path.cStr()) != 0 && errno != ENOENT) {
    // Whoever could keep it busy is being killed; the next agent start clears what is left.
    KJ_LOG(WARNING, "a container's cgroup stays behind", path, strerror(errno));
  }
}

void Cgroup::kill() { killCgroup(directory); }

kj::AutoCloseFd Cgroup::duplicate() const { return bulkhead::duplicate(directory); }

kj::AutoCloseFd Cgroup::placeBeside(pid_t process) const {
  // A cgroup that hands on controllers takes no processes (cgroups(7), "no internal processes").
  if (readKernelFile(directory, "cgroup.subtree_control").size() <= 1) return duplicate();
  auto own = readKernelFile(AT_FDCWD, kj::str("/proc/", process, "/cgroup"));
  if (own.startsWith("0::/") && own.endsWith("\n")) {
    auto part = kj::str(top, own.slice(3, own.size() - 1));
    int raw = open(part.cStr(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (raw >= 0) return kj::AutoCloseFd(raw);
  }
  return duplicate();
}

// Goes on where the object is gone by then.
kj::Promise<void> Cgroup::whenEmpty() {
  auto own = duplicate();
  int raw = openat(own, "cgroup.events", O_RDONLY | O_CLOEXEC);
  if (raw < 0) co_return;
  kj::AutoCloseFd events(raw);
  kj::UnixEventPort::FdObserver observer(eventPort, events,
                                         kj::UnixEventPort::FdObserver::OBSERVE_URGENT);
  for (;;) {
    auto changed = observer.whenUrgentDataAvailable();
    char buffer[256];
    // Reading re-arms the notification of this very descriptor.
    if (pread(events, buffer, sizeof buffer, 0) < 0 || !populated(own)) co_return;
    co_await changed;
  }
}

void killCgroup(int cgroup) { writeKernelFile(cgroup, "cgroup.kill", "1"); }

uint64_t outOfMemoryKills(int cgroup) {
  return numberOfLine(readKernelFile(cgroup, "memory.events"), "oom_kill");
}

}  // namespace bulkhead::zone
