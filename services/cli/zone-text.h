// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "schemas/platform.capnp.h"
#include "services/cli/enum-name.h"
#include "services/cli/json.h"
#include "services/cli/table.h"

namespace bulkhead {

// How zones and hosts are shown; field names of the JSON forms are stable.
Json zoneJson(schema::ZoneInfo::Reader zone);
Json hostJson(schema::HostStatus::Reader host);
Json exitJson(schema::ExitStatus::Reader status);
Json phasesJson(capnp::List<schema::PhaseTime>::Reader phases);

// "running", "exited (3)", "exited (signal 9)"
kj::String stateText(schema::ZoneInfo::Reader zone);

// One zone in all detail, a field a line.
kj::String zoneDetails(schema::ZoneInfo::Reader zone);

// The phases of a launch, then the sum up to readiness and the zone's kernel.
kj::String timingsText(schema::ZoneInfo::Reader zone);

}  // namespace bulkhead
