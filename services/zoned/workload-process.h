// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "schemas/agent.capnp.h"
#include "services/zoned/zone.h"

namespace bulkhead {

// The zone's first process, as a client holds it. `wait` answers from the zone's own record, so it
// survives the death of the link and the removal of the zone; the other calls go to the agent.
schema::Process::Client makeWorkloadProcess(kj::Own<Zone> zone);

}  // namespace bulkhead
