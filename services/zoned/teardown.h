// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "services/zoned/zone.h"

namespace bulkhead {

// Undoes every journaled step of a zone, in the order that lets memory go: the ring is closed, then
// the domain destroyed, then the address released. Asks the services what is there instead of
// trusting memory, so it works after any restart; idempotent. Fails with the first step's failure,
// later steps are tried all the same; what failed stays in the journal.
kj::Promise<void> tearDown(Zone& zone);

// Finds the zone's domain anew, as after hvd's restart; null when there is none.
kj::Promise<kj::Maybe<schema::Domain::Client>> findDomain(Zone& zone);

}  // namespace bulkhead
