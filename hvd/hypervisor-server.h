// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "hvd/registry.h"
#include "schemas/hypervisor.capnp.h"

namespace bulkhead::hvd {

// Serves schemas/hypervisor.capnp over the registry. Both outlive the server.
schema::Hypervisor::Client makeHypervisorServer(Machine& machine, Registry& registry);

}  // namespace bulkhead::hvd
