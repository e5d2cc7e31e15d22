// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <kj/io.h>

#include "zoneinit/runtime/settings.h"

namespace bulkhead::zone {

// Who an id of the container is outside of it. Without mappings: the same. Fails with `invalid` for
// one that no mapping has.
uint32_t outsideId(kj::ArrayPtr<const IdMapping> mappings, uint32_t inside);

// Writes the mappings of the user namespace that a process was born into, user_namespaces(7). Fails
// with `invalid` where the kernel takes them for wrong.
void writeMappings(pid_t process, const ContainerSettings& settings);

// A user namespace with these mappings, for mounts that show owners as it does. Nobody lives in it.
kj::AutoCloseFd makeUserNamespace(const ContainerSettings& settings);

}  // namespace bulkhead::zone
