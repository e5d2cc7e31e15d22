// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/string.h>

#include "schemas/agent.capnp.h"

namespace bulkhead::zone {

// What a container's cgroup has used. `cgroup` is its directory, borrowed. What this kernel does
// not tell stays 0.
void writeUsage(int cgroup, schema::Usage::Builder out);

// The same of the whole zone, whose cgroups lie below `cgroups`.
void writeZoneUsage(kj::StringPtr cgroups, schema::Usage::Builder out);

}  // namespace bulkhead::zone
