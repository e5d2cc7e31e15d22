// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/init/mounts.h"

#include <errno.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "zoneinit/init/console.h"

namespace bulkhead::init {
namespace {

constexpr char kNewRoot[] = "/mnt";
constexpr char kModuleDisk[] = "/dev/xvdb";
constexpr char kModules[] = "/addons";

enum class Need { essential, useful };

struct SystemMount {
  const char* type;
  const char* path;
  unsigned long flags;
  const char* options;
  Need need;
};

constexpr unsigned long kInert = MS_NOSUID | MS_NODEV | MS_NOEXEC;

constexpr SystemMount kMounts[] = {
    {"devtmpfs", "/dev", MS_NOSUID, "mode=0755", Need::essential},
    {"proc", "/proc", kInert, nullptr, Need::essential},
    {"sysfs", "/sys", kInert, nullptr, Need::essential},
    {"tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=0755", Need::essential},
    {"tmpfs", "/tmp", MS_NOSUID | MS_NODEV, "mode=1777", Need::useful},
    {"devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "mode=0620,ptmxmode=0666", Need::useful},
    {"tmpfs", "/dev/shm", kInert, "mode=1777", Need::useful},
    {"cgroup2", "/sys/fs/cgroup", kInert, nullptr, Need::essential},
};

}  // namespace

void makeRootMovable() {
  mkdir(kNewRoot, 0755);
  if (mount("/", kNewRoot, nullptr, MS_BIND, nullptr) != 0 || chdir(kNewRoot) != 0 ||
      mount(".", "/", nullptr, MS_MOVE, nullptr) != 0 || chroot(".") != 0 || chdir("/") != 0) {
    giveUp("making the root movable");
  }
}

void mountSystem() {
  for (auto& each : kMounts) {
    mkdir(each.path, 0755);
    if (mount(each.type, each.path, each.type, each.flags, each.options) == 0) continue;
    if (errno == EBUSY) continue;
    if (each.need == Need::essential) giveUp(each.path);
    say("cannot mount %s: %s", each.path, strerror(errno));
  }
}

void mountModuleDisk() {
  if (access(kModuleDisk, F_OK) != 0) return;
  mkdir(kModules, 0755);
  if (mount(kModuleDisk, kModules, "squashfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
            nullptr) != 0) {
    say("cannot mount %s: %s", kModuleDisk, strerror(errno));
  }
}

void makeRootReadOnly() {
  if (mount(nullptr, "/", nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) != 0) {
    giveUp("making the root read-only");
  }
}

}  // namespace bulkhead::init
