// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "hvd/registry.h"
#include "schemas/hypervisor.capnp.h"

namespace bulkhead::hvd {

// Serves schemas/hypervisor.capnp over the registry. `xenLog` keeps the hypervisor's messages for
// `hypervisorConsole`.
schema::Hypervisor::Client makeHypervisorServer(Machine& machine, Registry& registry);

}  // namespace bulkhead::hvd
