// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "services/runtime/progress.h"
#include "services/zoned/zone.h"

namespace bulkhead {

// Brings a recorded zone from nothing to `ready`, or straight to `running` where the client does
// not want to start the workload itself: images and address in parallel, domain, boot, ring,
// configuration, workload. Each step that changes the world is journaled before it is begun;
// nothing is undone here (see teardown.h). Fails with the typed failure of the step that failed, or
// with `cancelled` when the zone's end was requested. Whenever it returns, no step is still under
// way.
kj::Promise<void> launchZone(Zone& zone, Progress& progress);

// Starts the prepared workload. Null streams: only the zone's own log keeps the output.
kj::Promise<void> startWorkload(Zone& zone, schema::Stdio::Reader stdio);

// Attaches the ring that a domain offers and fills in link and agent.
kj::Promise<void> attachRing(Zone& zone, schema::RingOffer::Reader offer);

// The id of a zone's first container.
constexpr kj::StringPtr kWorkloadId = "main"_kj;

}  // namespace bulkhead
