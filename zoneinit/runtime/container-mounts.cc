// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/container-mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "zoneinit/runtime/mount-fd.h"
#include "zoneinit/runtime/root-walk.h"
#include "zoneinit/runtime/step.h"
#include "zoneinit/runtime/syscalls.h"

namespace bulkhead::zone {
namespace {

constexpr unsigned kInert = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

// Paths that tell about the machine or change it; Xen's own among them.
constexpr const char* kMaskedInProc[] = {"acpi",        "asound",     "interrupts", "kcore",
                                         "keys",        "kpagecount", "kpageflags", "latency_stats",
                                         "sched_debug", "scsi",       "timer_list", "timer_stats",
                                         "xen"};
constexpr const char* kReadOnlyInProc[] = {"bus", "fs", "irq", "sys", "sysrq-trigger"};
constexpr const char* kMaskedInSys[] = {"firmware", "hypervisor", "devices/virtual/powercap",
                                        "kernel/debug", "fs/bpf"};

struct DeviceNode {
  const char* name;
  unsigned major;
  unsigned minor;
};
constexpr DeviceNode kNodes[] = {{"null", 1, 3},   {"zero", 1, 5},    {"full", 1, 7},
                                 {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};

struct Link {
  const char* name;
  const char* target;
};
constexpr Link kLinks[] = {{"fd", "/proc/self/fd"},
                           {"stdin", "/proc/self/fd/0"},
                           {"stdout", "/proc/self/fd/1"},
                           {"stderr", "/proc/self/fd/2"},
                           {"ptmx", "pts/ptmx"}};

kj::AutoCloseFd require(Step step, kj::Maybe<kj::AutoCloseFd> fd, const char* detail) {
  KJ_IF_MAYBE (present, fd) {
    return kj::mv(*present);
  }
  throw StepError{step, errno, detail};
}

void attach(Step step, int mount, int target, const char* detail) {
  if (!attachMount(mount, target)) throw StepError{step, errno, detail};
}

class TreeBuilder {
 public:
  explicit TreeBuilder(const MountPlan& plan)
      : plan(plan),
        root(must(Step::rootMount, open(plan.root, O_PATH | O_DIRECTORY | O_CLOEXEC), plan.root)) {}

  void build() {
    buildDevices();
    buildProc();
    buildSys();
    bindNameFiles();
    enter();
  }

 private:
  const MountPlan& plan;
  kj::AutoCloseFd root;
  kj::AutoCloseFd nullDevice;

  void buildDevices() {
    auto devices = require(Step::deviceMount,
                           newMount("tmpfs", {{"mode", "0755"}, {"size", "65536"}},
                                    MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC),
                           "/dev");
    attach(Step::deviceMount, devices, target(Step::deviceMount, "dev", TargetKind::directory),
           "/dev");
    for (auto& node : kNodes) {
      must(Step::deviceNodes,
           mknodat(devices, node.name, S_IFCHR | 0666, makedev(node.major, node.minor)), node.name);
      // The agent's umask must not narrow what every process may use.
      must(Step::deviceNodes, fchmodat(devices, node.name, 0666, 0), node.name);
    }
    for (auto& link : kLinks) {
      must(Step::deviceNodes, symlinkat(link.target, devices, link.name), link.name);
    }
    nullDevice = kj::AutoCloseFd(
        must(Step::deviceNodes, openat(devices, "null", O_PATH | O_CLOEXEC), "/dev/null"));

    attach(Step::deviceMount, plan.pseudoTerminals, below(Step::deviceMount, devices, "pts"),
           "/dev/pts");
    auto shared =
        require(Step::deviceMount,
                newMount("tmpfs", {{"mode", "1777"}, {"size", "67108864"}}, kInert), "/dev/shm");
    attach(Step::deviceMount, shared, below(Step::deviceMount, devices, "shm"), "/dev/shm");
    auto queueTarget = below(Step::deviceMount, devices, "mqueue");
    KJ_IF_MAYBE (queues, newMount("mqueue", {}, kInert)) {
      attach(Step::deviceMount, *queues, queueTarget, "/dev/mqueue");
    } else if (errno != ENODEV) {  // a kernel without message queues serves everything else
      throw StepError{Step::deviceMount, errno, "/dev/mqueue"};
    }
    if (plan.console >= 0) {
      kj::AutoCloseFd console(must(
          Step::terminal, openat(devices, "console", O_CREAT | O_EXCL | O_RDONLY | O_CLOEXEC, 0600),
          "/dev/console"));
      auto terminal = require(Step::terminal, bindMount(plan.console, 0), "/dev/console");
      attach(Step::terminal, terminal, console, "/dev/console");
    }
  }

  void buildProc() {
    auto proc = require(Step::procMount, newMount("proc", {}, kInert), "/proc");
    attach(Step::procMount, proc, target(Step::procMount, "proc", TargetKind::directory), "/proc");
    // Opened through the mount just made, so these cannot be anything but procfs.
    for (auto path : kReadOnlyInProc) bindReadOnly(proc, path);
    for (auto path : kMaskedInProc) mask(proc, path);
  }

  void buildSys() {
    auto sys = require(Step::sysMount, newMount("sysfs", {}, kInert | MOUNT_ATTR_RDONLY), "/sys");
    attach(Step::sysMount, sys, target(Step::sysMount, "sys", TargetKind::directory), "/sys");
    for (auto path : kMaskedInSys) mask(sys, path);
    auto groups =
        require(Step::cgroupMount, newMount("cgroup2", {}, kInert | MOUNT_ATTR_RDONLY), "cgroup2");
    kj::AutoCloseFd groupTarget(must(Step::cgroupMount,
                                     openat(sys, "fs/cgroup", O_PATH | O_DIRECTORY | O_CLOEXEC),
                                     "fs/cgroup"));
    attach(Step::cgroupMount, groups, groupTarget, "/sys/fs/cgroup");
  }

  void bindNameFiles() {
    kj::AutoCloseFd names(must(
        Step::nameFiles, open(plan.nameFiles, O_PATH | O_DIRECTORY | O_CLOEXEC), plan.nameFiles));
    for (Link file : {Link{"resolv.conf", "etc/resolv.conf"}, Link{"hosts", "etc/hosts"},
                      Link{"hostname", "etc/hostname"}}) {
      kj::AutoCloseFd source(must(
          Step::nameFiles, openat(names, file.name, O_PATH | O_NOFOLLOW | O_CLOEXEC), file.name));
      auto mount = require(Step::nameFiles, bindMount(source, kInert), file.target);
      attach(Step::nameFiles, mount, target(Step::nameFiles, file.target, TargetKind::file),
             file.target);
    }
  }

  void enter() {
    if (plan.rootAccess == RootAccess::readOnly) {
      struct mount_attr change{};
      change.attr_set = MOUNT_ATTR_RDONLY;
      must(Step::pivotRoot, mount_setattr(root, "", AT_EMPTY_PATH, &change, sizeof change),
           "making the root read-only");
    }
    must(Step::pivotRoot, fchdir(root), plan.root);
    must(Step::pivotRoot, pivotRoot(".", "."), plan.root);
    // The zone's tree now lies on top of the new root, and goes.
    must(Step::pivotRoot, umount2(".", MNT_DETACH), "letting go of the zone's tree");
    must(Step::pivotRoot, chdir("/"), "/");
  }

  kj::AutoCloseFd target(Step step, const char* path, TargetKind kind) {
    return require(step, mountTarget(root, path, kind), path);
  }

  kj::AutoCloseFd below(Step step, int parent, const char* name) {
    must(step, mkdirat(parent, name, 0755), name);
    return kj::AutoCloseFd(
        must(step, openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), name));
  }

  void bindReadOnly(int parent, const char* path) {
    int raw = openat(parent, path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (raw < 0 && errno == ENOENT) return;
    kj::AutoCloseFd target(must(Step::maskPaths, raw, path));
    auto mount = require(Step::maskPaths, bindMount(target, kInert | MOUNT_ATTR_RDONLY), path);
    attach(Step::maskPaths, mount, target, path);
  }

  void mask(int parent, const char* path) {
    int raw = openat(parent, path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (raw < 0 && errno == ENOENT) return;
    kj::AutoCloseFd target(must(Step::maskPaths, raw, path));
    struct stat info{};
    must(Step::maskPaths, fstat(target, &info), path);
    auto cover = S_ISDIR(info.st_mode) ? newMount("tmpfs", {{"size", "0"}, {"mode", "0555"}},
                                                  kInert | MOUNT_ATTR_RDONLY)
                                       : bindMount(nullDevice, 0);
    attach(Step::maskPaths, require(Step::maskPaths, kj::mv(cover), path), target, path);
  }
};

}  // namespace

void enterContainerMounts(const MountPlan& plan) {
  must(Step::privateMounts, mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), "/");
  TreeBuilder(plan).build();
}

}  // namespace bulkhead::zone
