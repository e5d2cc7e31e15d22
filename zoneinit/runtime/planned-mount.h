// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/io.h>
#include <kj/vector.h>

#include "zoneinit/runtime/container-root.h"
#include "zoneinit/runtime/settings.h"

namespace bulkhead::zone {

// One mount of a container's specification. What exists in the zone is opened by the agent, as a
// mount not yet attached; what belongs to the container's namespaces is mounted by its first
// process.
struct PlannedMount {
  const MountSpec* spec;
  kj::AutoCloseFd source;  // none for a MemoryMount or a KernelMount
};

// Opens what the mounts need, in order. `userNamespace` is where a disk's owners are mapped to, or
// -1. Borrows `mounts`. Fails with `notFound`, `unsupported` (a disk without a file system that is
// known) or `internal`, naming the source, the step and the errno.
kj::Vector<PlannedMount> planMounts(const RuntimePaths& paths, kj::ArrayPtr<const MountSpec> mounts,
                                    int userNamespace);

// Gives a mount not yet attached the attributes and propagation that the specification wants. False
// with errno set on failure. Needs no heap.
bool shapeMount(int mount, const MountSpec& spec);

// MS_PRIVATE and the like.
unsigned long propagationFlag(Propagation propagation);

}  // namespace bulkhead::zone
