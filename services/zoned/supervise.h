// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "services/zoned/zone.h"

namespace bulkhead {

// Watches over a zone that runs, until it is to be removed: keeps its link attached whatever idmd
// does, keeps its domain in sight whatever hvd does, records how the workload ended. Returns when
// the zone's end is requested or the workload of a zone that is removed when it exits has ended.
// Fails with `guestCrashed`, or what fits, when the domain ended by itself.
kj::Promise<void> superviseZone(Zone& zone);

}  // namespace bulkhead
