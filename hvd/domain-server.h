// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "hvd/domain.h"
#include "schemas/hypervisor.capnp.h"

namespace bulkhead::hvd {

// A capability for one domain. Any number of them may exist; dropping one changes nothing.
schema::Domain::Client makeDomainServer(Machine& machine, kj::Own<Domain> domain);

// Brings the domain's own picture up to date with the hypervisor's.
void refresh(Machine& machine, Domain& domain);

}  // namespace bulkhead::hvd
