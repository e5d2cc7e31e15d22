// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "schemas/platform.capnp.h"
#include "services/zoned/zones.h"

namespace bulkhead {

// What one connection's user may do. Made for each peer that connects; the peer's user as the
// kernel reports it decides, nothing the peer says.
capnp::Capability::Client makePlatform(Zones& zones, ZoneServices services, Viewer viewer);

}  // namespace bulkhead
