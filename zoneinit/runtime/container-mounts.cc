// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/container-mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "zoneinit/runtime/mount-fd.h"
#include "zoneinit/runtime/root-walk.h"
#include "zoneinit/runtime/step.h"
#include "zoneinit/runtime/syscalls.h"

namespace bulkhead::zone {
namespace {

constexpr uint64_t kSharedMemory = 64 << 20;
constexpr unsigned kInert = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

// Paths that tell about the machine or change it; Xen's own among them.
constexpr const char* kMasked[] = {
    "/proc/acpi",        "/proc/asound",        "/proc/interrupts",
    "/proc/kcore",       "/proc/keys",          "/proc/kpagecount",
    "/proc/kpageflags",  "/proc/latency_stats", "/proc/sched_debug",
    "/proc/scsi",        "/proc/timer_list",    "/proc/timer_stats",
    "/proc/xen",         "/sys/firmware",       "/sys/hypervisor",
    "/sys/kernel/debug", "/sys/fs/bpf",         "/sys/devices/virtual/powercap"};
constexpr const char* kReadOnly[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                                     "/proc/sysrq-trigger"};

// Where the zone has what the container's namespaces do not let it mount anew.
struct KernelTree {
  const char* type;
  const char* zonePath;
};
constexpr KernelTree kKernelTrees[] = {
    {"proc", "/proc"}, {"sysfs", "/sys"}, {"cgroup2", "/sys/fs/cgroup"}};

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
  explicit TreeBuilder(const MountPlan& plan) : plan(plan) {
    kj::AutoCloseFd tree(
        must(Step::rootMount, open(plan.root, O_PATH | O_DIRECTORY | O_CLOEXEC), plan.root));
    // A mount of its own: one that was there before a user namespace was cannot become its root.
    root = require(Step::rootMount, cloneMount(tree, MountDepth::alone), plan.root);
    attach(Step::rootMount, root, tree, plan.root);
  }

  void build() {
    buildDevices();
    processes = mountKernelTree("proc", "/proc", kInert);
    mountKernelTree("sysfs", "/sys", kInert | systemWriting());
    mountKernelTree("cgroup2", "/sys/fs/cgroup", kInert | systemWriting());
    bindNameFiles();
    for (auto& mount : plan.mounts) addListed(mount);
    for (auto& setting : plan.settings->sysctls) writeSetting(setting);
    protectPaths();
    enter();
  }

 private:
  const MountPlan& plan;
  kj::AutoCloseFd root;
  kj::AutoCloseFd processes;  // the procfs just made, whatever is mounted over it later

  bool privileged() const { return plan.settings->confinement == Confinement::privileged; }

  unsigned systemWriting() const { return privileged() ? 0 : MOUNT_ATTR_RDONLY; }

  void buildDevices() {
    attach(Step::deviceMount, plan.devices, target(Step::deviceMount, "dev", TargetKind::directory),
           "/dev");
    attachBelowDevices("pts", plan.pseudoTerminals);
    char text[24];
    auto bytes = plan.settings->sharedMemoryBytes;
    auto size = kj::strPreallocated(text, bytes == 0 ? kSharedMemory : bytes);
    auto shared =
        require(Step::deviceMount,
                newMount("tmpfs", {{"mode", "1777"}, {"size", size.cStr()}}, kInert), "/dev/shm");
    attachBelowDevices("shm", shared);
    KJ_IF_MAYBE (queues, newMount("mqueue", {}, kInert)) {
      attachBelowDevices("mqueue", *queues);
    } else if (errno != ENODEV && errno != EPERM) {
      // A kernel without message queues, or another's queues: everything else works.
      throw StepError{Step::deviceMount, errno, "/dev/mqueue"};
    }
    if (plan.console >= 0) {
      auto terminal = require(Step::terminal, bindMount(plan.console, 0), "/dev/console");
      attachBelowDevices("console", terminal);
    }
  }

  // The tree for /dev is the agent's work, and these places are its own directories and files.
  void attachBelowDevices(const char* name, int mount) {
    kj::AutoCloseFd place(
        must(Step::deviceMount, openat(plan.devices, name, O_PATH | O_NOFOLLOW | O_CLOEXEC), name));
    attach(Step::deviceMount, mount, place, name);
  }

  // A file system of the kernel's, for the namespaces this process is in; where it may not have
  // one of its own, since the namespace is the zone's and the users are not, the zone's own.
  kj::AutoCloseFd kernelTree(Step step, const char* type, unsigned attributes) {
    auto mount = newMount(type, {}, attributes);
    KJ_IF_MAYBE (made, mount) {
      return kj::mv(*made);
    }
    int error = errno;
    for (auto& tree : kKernelTrees) {
      if (error != EPERM || strcmp(tree.type, type) != 0) continue;
      kj::AutoCloseFd zone(must(step, open(tree.zonePath, O_PATH | O_CLOEXEC), tree.zonePath));
      auto clone = require(step, cloneMount(zone, MountDepth::withMountsBelow), tree.zonePath);
      if (!changeMount(clone, attributes, MountDepth::withMountsBelow)) break;
      return clone;
    }
    throw StepError{step, error, type};
  }

  kj::AutoCloseFd mountKernelTree(const char* type, const char* path, unsigned attributes) {
    auto tree = kernelTree(Step::kernelMount, type, attributes);
    attach(Step::kernelMount, tree, target(Step::kernelMount, path, TargetKind::directory), path);
    return tree;
  }

  void bindNameFiles() {
    kj::AutoCloseFd names(must(
        Step::nameFiles, open(plan.nameFiles, O_PATH | O_DIRECTORY | O_CLOEXEC), plan.nameFiles));
    struct NameFile {
      const char* name;
      const char* path;
    };
    for (NameFile file : {NameFile{"resolv.conf", "etc/resolv.conf"},
                          NameFile{"hosts", "etc/hosts"}, NameFile{"hostname", "etc/hostname"}}) {
      kj::AutoCloseFd source(must(
          Step::nameFiles, openat(names, file.name, O_PATH | O_NOFOLLOW | O_CLOEXEC), file.name));
      auto mount = require(Step::nameFiles, bindMount(source, kInert), file.path);
      attach(Step::nameFiles, mount, target(Step::nameFiles, file.path, TargetKind::file),
             file.path);
    }
  }

  void addListed(const PlannedMount& planned) {
    auto& spec = *planned.spec;
    const char* path = spec.destination.cStr();
    kj::AutoCloseFd own;
    int mount = planned.source;
    KJ_SWITCH_ONEOF(spec.source) {
      KJ_CASE_ONEOF(memory, MemoryMount) {
        own = memoryMount(memory, spec.attributes, path);
        mount = own;
      }
      KJ_CASE_ONEOF(kernel, KernelMount) {
        own = kernelTree(Step::listedMount, kernel.type.cStr(), spec.attributes);
        mount = own;
      }
      KJ_CASE_ONEOF(zone, ZonePathMount) {}
      KJ_CASE_ONEOF(disk, DiskMount) {}
    }
    struct stat info{};
    must(Step::listedMount, fstat(mount, &info), path);
    auto kind = S_ISDIR(info.st_mode) ? TargetKind::directory : TargetKind::file;
    auto place = target(Step::listedMount, path, kind);
    if (own != nullptr && !shapeMount(own, spec)) {
      throw StepError{Step::listedMount, errno, path};
    }
    attach(Step::listedMount, mount, place, path);
  }

  kj::AutoCloseFd memoryMount(const MemoryMount& memory, unsigned attributes, const char* path) {
    const char* mode = memory.mode.cStr();
    auto mount =
        memory.size.size() == 0
            ? newMount("tmpfs", {{"mode", mode}}, attributes)
            : newMount("tmpfs", {{"mode", mode}, {"size", memory.size.cStr()}}, attributes);
    auto made = require(Step::listedMount, kj::mv(mount), path);
    must(Step::listedMount,
         fchownat(made, "", plan.owner.root, plan.owner.rootGroup, AT_EMPTY_PATH), path);
    return made;
  }

  // Those of the namespaces this process is in.
  void writeSetting(const Setting& setting) {
    const char* name = setting.key.cStr();
    kj::AutoCloseFd settings(must(
        Step::systemSettings, openat(processes, "sys", O_PATH | O_DIRECTORY | O_CLOEXEC), name));
    kj::AutoCloseFd file(must(Step::systemSettings,
                              openat2(settings, name, O_WRONLY | O_CLOEXEC, 0,
                                      RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV),
                              name));
    must(Step::systemSettings, write(file, setting.value.begin(), setting.value.size()), name);
  }

  // Last, so that no mount of the specification lies on top.
  void protectPaths() {
    bool usual = plan.settings->pathDefaults == PathDefaults::kept && !privileged();
    if (usual) {
      for (auto path : kReadOnly) makeReadOnly(path);
      for (auto path : kMasked) mask(path);
    }
    for (auto& path : plan.settings->readOnlyPaths) makeReadOnly(path.cStr());
    for (auto& path : plan.settings->maskedPaths) mask(path.cStr());
  }

  void enter() {
    unsigned attributes = plan.rootAccess == RootAccess::readOnly ? MOUNT_ATTR_RDONLY : 0;
    changeRoot(attributes, 0);
    must(Step::pivotRoot, fchdir(root), plan.root);
    must(Step::pivotRoot, pivotRoot(".", "."), plan.root);
    // The zone's tree now lies on top of the new root, and goes.
    must(Step::pivotRoot, umount2(".", MNT_DETACH), "letting go of the zone's tree");
    must(Step::pivotRoot, chdir("/"), "/");
    // Only now, since pivot_root(2) takes no shared mount.
    changeRoot(0, propagationFlag(plan.settings->rootPropagation));
  }

  void changeRoot(unsigned attributes, unsigned long propagation) {
    if (!changeMount(root, attributes, MountDepth::alone, propagation)) {
      throw StepError{Step::pivotRoot, errno, "changing the root's attributes"};
    }
  }

  kj::AutoCloseFd target(Step step, const char* path, TargetKind kind) {
    return require(step, mountTarget(root, path, kind), path);
  }

  kj::Maybe<kj::AutoCloseFd> present(const char* path) {
    auto found = pathInRoot(root, path);
    if (found == nullptr && errno != ENOENT && errno != ENOTDIR) {
      throw StepError{Step::maskPaths, errno, path};
    }
    return found;
  }

  void makeReadOnly(const char* path) {
    KJ_IF_MAYBE (place, present(path)) {
      auto mount = require(Step::maskPaths, cloneMount(*place, MountDepth::withMountsBelow), path);
      if (!changeMount(mount, MOUNT_ATTR_RDONLY, MountDepth::withMountsBelow)) {
        throw StepError{Step::maskPaths, errno, path};
      }
      attach(Step::maskPaths, mount, *place, path);
    }
  }

  void mask(const char* path) {
    KJ_IF_MAYBE (place, present(path)) {
      struct stat info{};
      must(Step::maskPaths, fstat(*place, &info), path);
      auto cover = S_ISDIR(info.st_mode) ? newMount("tmpfs", {{"size", "0"}, {"mode", "0555"}},
                                                    kInert | MOUNT_ATTR_RDONLY)
                                         : nullMount();
      attach(Step::maskPaths, require(Step::maskPaths, kj::mv(cover), path), *place, path);
    }
  }

  kj::Maybe<kj::AutoCloseFd> nullMount() {
    kj::AutoCloseFd null(
        must(Step::maskPaths, openat(plan.devices, "null", O_PATH | O_CLOEXEC), "/dev/null"));
    return bindMount(null, 0);
  }
};

}  // namespace

void enterContainerMounts(const MountPlan& plan) {
  must(Step::privateMounts, mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), "/");
  TreeBuilder(plan).build();
}

}  // namespace bulkhead::zone
