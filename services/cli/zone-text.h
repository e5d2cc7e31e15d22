// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <capnp/schema.h>

#include "schemas/platform.capnp.h"
#include "services/cli/json.h"
#include "services/cli/table.h"

namespace bulkhead {

// How zones, images and hosts are shown; field names of the JSON forms are stable.
Json zoneJson(schema::ZoneInfo::Reader zone);
Json imageJson(schema::ImageInfo::Reader image);
Json hostJson(schema::HostStatus::Reader host);
Json exitJson(schema::ExitStatus::Reader status);
Json phasesJson(capnp::List<schema::PhaseTime>::Reader phases);

// "running", "exited (3)", "exited (signal 9)"
kj::String stateText(schema::ZoneInfo::Reader zone);

// One zone in all detail, a field a line.
kj::String zoneDetails(schema::ZoneInfo::Reader zone);

// The phases of a launch, then the sum up to readiness and the zone's kernel.
kj::String timingsText(schema::ZoneInfo::Reader zone);

// The name of a value of an enumeration, as the schema spells it.
template <typename Enum>
kj::StringPtr enumName(Enum value) {
  auto enumerants = capnp::Schema::from<Enum>().getEnumerants();
  auto number = static_cast<unsigned>(value);
  return number < enumerants.size() ? enumerants[number].getProto().getName() : "unknown"_kj;
}

}  // namespace bulkhead
