// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "schemas/platform.capnp.h"
#include "services/zoned/zone.h"

namespace bulkhead {

// A capability for one zone.
schema::Zone::Client makeZone(kj::Own<Zone> zone);

// The same for whoever made the zone: dropping it tells the zone that its maker is gone.
schema::Zone::Client makeZoneOfMaker(kj::Own<Zone> zone);

}  // namespace bulkhead
