// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "hvd/xen-control.h"
#include "schemas/hypervisor.capnp.h"

namespace bulkhead::hvd {

// Kinds of guests the hypervisor can run.
struct Capabilities {
  bool pvh;
  bool pv;
};

Capabilities capabilitiesOf(const xc_physinfo_t& machine);

// Bytes a new domain could claim.
uint64_t freeBytesOf(const xc_physinfo_t& machine);

// Fills in what the hypervisor knows of the machine; the caller adds what hvd knows.
void describeHost(XenControl& xen, schema::HostStatus::Builder out);

struct CpuPlace {
  uint32_t id;
  uint32_t core;
  uint32_t socket;
  uint32_t node;
};

kj::Vector<CpuPlace> cpuTopology(XenControl& xen);

// The hypervisor's message ring from `position` on (0: all that is kept); `position` moves on.
kj::Array<kj::byte> readHypervisorConsole(XenControl& xen, uint32_t& position);

}  // namespace bulkhead::hvd
