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
#include "zoneinit/runtime/device-filter.h"
#include "zoneinit/runtime/kernel-files.h"

namespace bulkhead::zone {
namespace {

constexpr uint32_t kMostPidsByDefault = 4096;
constexpr kj::StringPtr kControllers[] = {"memory"_kj, "pids"_kj,   "cpu"_kj,
                                          "io"_kj,     "cpuset"_kj, "hugetlb"_kj};

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
  KJ_REQUIRE(mkdir(path.cStr(), 0755) == 0, "cannot make a cgroup", path, strerror(errno));
  return openDirectory(path);
}

void clearLeftover(int parent, const char* name);

// The parts of a cgroup. What is still busy then is tried again when the agent starts the next
// time.
void clearParts(int cgroup) {
  int copy = openat(cgroup, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* listing = copy < 0 ? nullptr : fdopendir(copy);
  if (listing == nullptr) return;
  KJ_DEFER(closedir(listing));
  while (dirent* entry = readdir(listing)) {
    if (entry->d_type == DT_DIR && entry->d_name[0] != '.') clearLeftover(cgroup, entry->d_name);
  }
}

// Kills what an earlier agent left. Waits for the kernel to say that nothing lives in it.
void clearLeftover(int parent, const char* name) {
  int raw = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (raw < 0) return;
  kj::AutoCloseFd fd(raw);
  writeKernelFile(fd, "cgroup.kill", "1");
  clearParts(fd);
  for (int attempt = 0; attempt < 100; ++attempt) {
    if (unlinkat(parent, name, AT_REMOVEDIR) == 0) return;
    int events = openat(fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
    if (events < 0) return;
    kj::AutoCloseFd eventsFd(events);
    char buffer[256];
    (void)!read(eventsFd, buffer, sizeof buffer);
    pollfd wait{events, POLLPRI, 0};
    poll(&wait, 1, 100);
  }
}

uint32_t defaultPids() {
  auto content = readKernelFile(AT_FDCWD, "/proc/sys/kernel/threads-max");
  uint64_t most = content.size() > 0 ? leadingNumber(content.cStr()) : kMostPidsByDefault;
  // The rest is for the agent, which must be able to start the exec that looks at a fork bomb.
  return static_cast<uint32_t>(std::min<uint64_t>(most / 4 * 3, kMostPidsByDefault));
}

}  // namespace

CgroupTree::CgroupTree(kj::UnixEventPort& eventPortParam, kj::StringPtr base)
    : eventPort(eventPortParam), directory(kj::str(base, "/workloads")) {
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
  clearParts(own);
}

Cgroup::Cgroup(CgroupTree& tree, kj::StringPtr name, CgroupLimits limits,
               const ContainerSettings& settings)
    : eventPort(tree.port()), path(kj::str(tree.path(), "/", name)) {
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
    : eventPort(whole.eventPort), path(kj::str(whole.path, "/", name)) {
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
  clearParts(directory);
  if (rmdir(path.cStr()) != 0) {
    // Whoever could keep it busy is being killed; the next agent start clears what is left.
    KJ_LOG(WARNING, "a container's cgroup stays behind", path, strerror(errno));
  }
}

void Cgroup::kill() { writeKernelFile(directory, "cgroup.kill", "1"); }

bool Cgroup::populated() const {
  return numberOfLine(readKernelFile(directory, "cgroup.events"), "populated") != 0;
}

kj::Promise<void> Cgroup::whenEmpty() {
  int raw = openat(directory, "cgroup.events", O_RDONLY | O_CLOEXEC);
  if (raw < 0) co_return;
  kj::AutoCloseFd events(raw);
  kj::UnixEventPort::FdObserver observer(eventPort, events,
                                         kj::UnixEventPort::FdObserver::OBSERVE_URGENT);
  for (;;) {
    auto changed = observer.whenUrgentDataAvailable();
    char buffer[256];
    // Reading re-arms the notification of this very descriptor.
    if (pread(events, buffer, sizeof buffer, 0) < 0 || !populated()) co_return;
    co_await changed;
  }
}

uint64_t Cgroup::outOfMemoryKills() const {
  return numberOfLine(readKernelFile(directory, "memory.events"), "oom_kill");
}

}  // namespace bulkhead::zone
