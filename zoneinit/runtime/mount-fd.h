// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/mount.h>

#include <initializer_list>

#include <kj/common.h>
#include <kj/io.h>

namespace bulkhead::zone {

// One parameter of a new file system: a key and its value, or a flag when the value is nullptr.
struct MountOption {
  const char* key;
  const char* value;
};

// A file system as a descriptor (fsopen(2), fsmount(2)), not yet attached anywhere. `attributes`
// are MOUNT_ATTR_*. Without heap and without exceptions, since it also runs between a child's birth
// and its program. nullptr with errno set on failure.
kj::Maybe<kj::AutoCloseFd> newMount(const char* type, std::initializer_list<MountOption> options,
                                    unsigned attributes);

// Attaches a mount, or a clone of one, on an O_PATH descriptor. False with errno set on failure.
bool attachMount(int mount, int target);
bool attachMount(int mount, const char* targetPath);

enum class MountDepth { alone, withMountsBelow };

// A further mount of the file or directory behind a descriptor. nullptr with errno set on failure.
kj::Maybe<kj::AutoCloseFd> cloneMount(int source, MountDepth depth);

// The same, of it alone and with these attributes on top.
kj::Maybe<kj::AutoCloseFd> bindMount(int source, unsigned attributes);

// Changes a mount's attributes; `propagation` is MS_PRIVATE or the like, or 0 to leave it. False
// with errno set on failure.
bool changeMount(int mount, unsigned attributes, MountDepth depth, unsigned long propagation = 0);

// Shows the owners of a mount's files as a user namespace maps them (mount_setattr(2),
// MOUNT_ATTR_IDMAP). The mount must not be attached yet. False with errno set on failure.
bool mapOwners(int mount, int userNamespace);

}  // namespace bulkhead::zone
