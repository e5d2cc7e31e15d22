// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/mount-fd.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

namespace bulkhead::zone {
namespace {

kj::Maybe<kj::AutoCloseFd> owned(int fd) {
  if (fd < 0) return nullptr;
  return kj::AutoCloseFd(fd);
}

}  // namespace

kj::Maybe<kj::AutoCloseFd> newMount(const char* type, std::initializer_list<MountOption> options,
                                    unsigned attributes) {
  KJ_IF_MAYBE (context, owned(fsopen(type, FSOPEN_CLOEXEC))) {
    for (auto& option : options) {
      auto command = option.value == nullptr ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING;
      if (fsconfig(*context, command, option.key, option.value, 0) != 0) return nullptr;
    }
    if (fsconfig(*context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) return nullptr;
    return owned(fsmount(*context, FSMOUNT_CLOEXEC, attributes));
  }
  return nullptr;
}

bool attachMount(int mount, int target) {
  return move_mount(mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) == 0;
}

bool attachMount(int mount, const char* targetPath) {
  return move_mount(mount, "", AT_FDCWD, targetPath, MOVE_MOUNT_F_EMPTY_PATH) == 0;
}

kj::Maybe<kj::AutoCloseFd> cloneMount(int source, MountDepth depth) {
  unsigned below = depth == MountDepth::withMountsBelow ? AT_RECURSIVE : 0;
  return owned(open_tree(source, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | below));
}

kj::Maybe<kj::AutoCloseFd> bindMount(int source, unsigned attributes) {
  auto mount = cloneMount(source, MountDepth::alone);
  KJ_IF_MAYBE (fd, mount) {
    if (attributes != 0 && !changeMount(*fd, attributes, MountDepth::alone)) return nullptr;
  }
  return mount;
}

bool changeMount(int mount, unsigned attributes, MountDepth depth, unsigned long propagation) {
  struct mount_attr change{};
  change.attr_set = attributes;
  change.propagation = propagation;
  unsigned below = depth == MountDepth::withMountsBelow ? AT_RECURSIVE : 0;
  return mount_setattr(mount, "", AT_EMPTY_PATH | below, &change, sizeof change) == 0;
}

bool mapOwners(int mount, int userNamespace) {
  struct mount_attr change{};
  change.attr_set = MOUNT_ATTR_IDMAP;
  change.userns_fd = static_cast<uint64_t>(userNamespace);
  return mount_setattr(mount, "", AT_EMPTY_PATH, &change, sizeof change) == 0;
}

}  // namespace bulkhead::zone
