// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/string.h>

#include "zoneinit/runtime/planned-mount.h"
#include "zoneinit/runtime/spec.h"

namespace bulkhead::zone {

// What a container's own mount namespace is made from. Everything is borrowed.
struct MountPlan {
  const char* root;       // the overlay's path in the zone
  const char* nameFiles;  // directory with resolv.conf, hosts, hostname
  RootAccess rootAccess;
  int devices;          // the tree for /dev, not yet attached (device-tree.h)
  int pseudoTerminals;  // a devpts instance of the container's own, not yet attached
  int console;          // its terminal for /dev/console, or -1
  kj::ArrayPtr<const PlannedMount> mounts;
  const ContainerSettings* settings;
  OwnerMap owner;  // whose new file systems are
};

// Builds the container's tree and makes it this process's root. Called in the child, first in its
// new mount namespace, before anything of the container runs. Throws StepError.
void enterContainerMounts(const MountPlan& plan);

}  // namespace bulkhead::zone
