// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/device-tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <kj/debug.h>

#include "zoneinit/runtime/fail-step.h"
#include "zoneinit/runtime/mount-fd.h"
#include "zoneinit/runtime/user-namespace.h"

namespace bulkhead::zone {
namespace {

struct StandardNode {
  const char* name;
  unsigned major;
  unsigned minor;
};
constexpr StandardNode kNodes[] = {{"null", 1, 3},   {"zero", 1, 5},    {"full", 1, 7},
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

void check(int result, kj::StringPtr name, kj::StringPtr step) {
  if (result < 0) failStep(kj::str("/dev/", name), step);
}

class DeviceTree {
 public:
  DeviceTree() {
    auto made = newMount("tmpfs", {{"mode", "0755"}, {"size", "65536"}},
                         MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
    KJ_IF_MAYBE (mount, made) {
      tree = kj::mv(*mount);
    } else {
      check(-1, "", "mounting tmpfs");
    }
  }

  void node(kj::StringPtr name, mode_t type, dev_t device, mode_t mode, uid_t user, gid_t group) {
    makeParents(name);
    int made = mknodat(tree, name.cStr(), type | mode, device);
    if (made != 0 && errno == EEXIST) {
      // A device of the settings in the place of a standard one.
      check(unlinkat(tree, name.cStr(), 0), name, "replacing a device node");
      made = mknodat(tree, name.cStr(), type | mode, device);
    }
    check(made, name, "making a device node");
    // The agent's umask must not narrow what every process may use.
    check(fchmodat(tree, name.cStr(), mode, 0), name, "changing its mode");
    check(fchownat(tree, name.cStr(), user, group, AT_SYMLINK_NOFOLLOW), name,
          "changing its owner");
  }

  void link(const Link& link) {
    check(symlinkat(link.target, tree, link.name), link.name, "making a link");
  }

  void directory(const char* name) { check(mkdirat(tree, name, 0755), name, "making a directory"); }

  void file(const char* name) {
    int raw = openat(tree, name, O_CREAT | O_EXCL | O_RDONLY | O_CLOEXEC, 0600);
    check(raw, name, "making a place to mount");
    kj::AutoCloseFd opened(raw);
  }

  kj::AutoCloseFd release() { return kj::mv(tree); }

 private:
  kj::AutoCloseFd tree;

  void makeParents(kj::StringPtr name) {
    for (size_t i = 1; i < name.size(); ++i) {
      if (name[i] != '/') continue;
      auto parent = kj::str(name.slice(0, i));
      if (mkdirat(tree, parent.cStr(), 0755) != 0 && errno != EEXIST) {
        check(-1, parent, "making a directory");
      }
    }
  }
};

// What the zone's own /dev has itself. What a zone has in folders of /dev is its own business.
void addZoneDevices(DeviceTree& tree, const RuntimePaths& paths, const OwnerMap& owners) {
  DIR* listing = opendir(paths.devices.cStr());
  KJ_REQUIRE(listing != nullptr, "cannot list the zone's devices", strerror(errno));
  KJ_DEFER(closedir(listing));
  while (dirent* entry = readdir(listing)) {
    struct stat info{};
    if (fstatat(dirfd(listing), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (!S_ISCHR(info.st_mode) && !S_ISBLK(info.st_mode)) continue;
    kj::StringPtr name = entry->d_name;
    if (name == "console" || name == "ptmx") continue;
    tree.node(name, info.st_mode & S_IFMT, info.st_rdev, info.st_mode & 0777, owners.root,
              owners.rootGroup);
  }
}

}  // namespace

kj::AutoCloseFd makeDeviceTree(const RuntimePaths& paths, const ContainerSettings& settings,
                               const OwnerMap& owners, Console console) {
  DeviceTree tree;
  for (auto& node : kNodes) {
    tree.node(node.name, S_IFCHR, makedev(node.major, node.minor), 0666, owners.root,
              owners.rootGroup);
  }
  for (auto name : {"pts", "shm", "mqueue"}) tree.directory(name);
  if (settings.confinement == Confinement::privileged) addZoneDevices(tree, paths, owners);
  for (auto& device : settings.devices) {
    tree.node(device.name, device.type == DeviceSpec::Type::block ? S_IFBLK : S_IFCHR,
              makedev(device.major, device.minor), device.mode,
              outsideId(settings.userMappings, device.user),
              outsideId(settings.groupMappings, device.group));
  }
  if (console == Console::terminal) tree.file("console");
  // Last: up to here nothing in the tree leads out of it.
  for (auto& link : kLinks) tree.link(link);
  return tree.release();
}

}  // namespace bulkhead::zone
