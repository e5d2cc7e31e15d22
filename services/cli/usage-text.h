// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "schemas/agent.capnp.h"
#include "services/cli/json.h"
#include "services/cli/table.h"

namespace bulkhead {

// How what zones use is shown; field names of the JSON forms are stable. All of it is the zones'
// own word.
Json metricsJson(kj::StringPtr zone, schema::Metrics::Reader metrics);
Json processesJson(capnp::List<schema::ProcessEntry>::Reader processes, uint32_t omitted);

// A line a zone.
Table usageTable();
void addUsage(Table& table, kj::StringPtr zone, schema::Usage::Reader usage);

// A line a process, the busiest first; a last line where some were left out.
kj::String processesText(capnp::List<schema::ProcessEntry>::Reader processes, uint32_t omitted);

}  // namespace bulkhead
