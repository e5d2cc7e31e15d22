// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/io.h>

#include "zoneinit/runtime/container-root.h"
#include "zoneinit/runtime/settings.h"

namespace bulkhead::zone {

enum class Console { none, terminal };

// A container's /dev as a mount not yet attached: the harmless devices, those of the settings, the
// links programs expect, and places to mount pts, shm, mqueue and, for a terminal, console. All of
// it is made by the agent, since a user namespace may make no devices. A privileged container gets
// every device of the zone's /dev itself, not those in folders. Fails with `internal`, naming the
// device, the step and the errno.
kj::AutoCloseFd makeDeviceTree(const RuntimePaths& paths, const ContainerSettings& settings,
                               const OwnerMap& owners, Console console);

}  // namespace bulkhead::zone
