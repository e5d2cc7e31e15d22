// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace bulkhead::init {

// Puts a mount that can be left over the kernel's first root file system, which cannot:
// pivot_root(2) refuses to leave that one, and containers' roots are entered by pivot_root.
void makeRootMovable();

// Mounts what a system needs: proc, sysfs, devtmpfs, devpts, tmpfs, cgroup2. What is mounted
// already stays.
void mountSystem();

// Mounts the disk with further modules on /addons, where there is one.
void mountModuleDisk();

// From now on nothing can change the programs and directories of the system image.
void makeRootReadOnly();

}  // namespace bulkhead::init
