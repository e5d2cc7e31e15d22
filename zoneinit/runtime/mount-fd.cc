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

kj::Maybe<kj::AutoCloseFd> bindMount(int source, unsigned attributes) {
  auto mount = owned(open_tree(source, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH));
  KJ_IF_MAYBE (fd, mount) {
    struct mount_attr change{};
    change.attr_set = attributes;
    if (attributes != 0 && mount_setattr(*fd, "", AT_EMPTY_PATH, &change, sizeof change) != 0) {
      return nullptr;
    }
  }
  return mount;
}

}  // namespace bulkhead::zone
