// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/common.h>
#include <kj/string.h>

#include <cstdint>

namespace bulkhead::zone {

// One bit for each capability of capabilities(7), bit 0 being CAP_CHOWN.
using CapabilityMask = uint64_t;

// What containers get by default everywhere: enough for a root that owns its files, starts servers
// below port 1024 and changes users.
CapabilityMask defaultCapabilities();

// The bit for a name without the CAP_ prefix ("NET_RAW"). Fails with `invalid` when there is none.
CapabilityMask capability(kj::StringPtr name);

// The default set with `drop` taken away, then `add` put in; "ALL" names every one.
CapabilityMask capabilitySet(kj::ArrayPtr<const kj::String> add,
                             kj::ArrayPtr<const kj::String> drop);

// The named ones and no others.
CapabilityMask capabilityUnion(kj::ArrayPtr<const kj::String> names);

// Every one that this process may hand on.
CapabilityMask boundingSet();

constexpr int kLastCapability = 40;  // CAP_CHECKPOINT_RESTORE

}  // namespace bulkhead::zone
