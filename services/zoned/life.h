// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "services/runtime/progress.h"
#include "services/zoned/zone.h"

namespace bulkhead {

// A zone's whole life, from its first step to the forgotten record. One coroutine does all of it:
// whatever happens, the zone is taken apart in one place, and never while a step that builds it is
// still under way. Resolves when nothing is left of the zone.
//
// A launch or a zone that fails is taken apart first and `failed` then, so that whoever is told of
// the failure finds nothing left; its record stays until `destroy`, or goes at once where the zone
// is removed when it exits.
kj::Promise<void> liveFromLaunch(kj::Own<Zone> zone, Progress progress);

// The same from a record that an earlier zoned left: adopts what runs, undoes what was half made.
kj::Promise<void> liveFromRecord(kj::Own<Zone> zone);

}  // namespace bulkhead
