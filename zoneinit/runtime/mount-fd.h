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

// A further mount of the file or directory behind a descriptor, with these attributes on top.
kj::Maybe<kj::AutoCloseFd> bindMount(int source, unsigned attributes);

}  // namespace bulkhead::zone
