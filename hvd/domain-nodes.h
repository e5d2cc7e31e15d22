// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/array.h>
#include <kj/string.h>
#include <kj/vector.h>

#include "hvd/domain-config.h"
#include "hvd/xenstore-client.h"
#include "services/runtime/uuid.h"

namespace bulkhead::hvd {

// A disk as its back end sees it.
struct DiskPlan {
  uint32_t device;
  kj::String name;
  Access access;
  uint32_t major;  // of the block device in dom0
  uint32_t minor;
};

// All that a domain's xenstore tree says.
struct DomainPlan {
  uint32_t domid;
  Uuid uuid;
  kj::String name;
  uint64_t memoryKiB;
  uint32_t vcpus;
  uint32_t maxVcpus;
  uint64_t consoleFrame;
  uint32_t consolePort;
  uint64_t xenstoreFrame;
  uint32_t xenstorePort;
  kj::ArrayPtr<const DiskPlan> disks;
  kj::ArrayPtr<const VifConfig> vifs;
};

// Pure functions from plans to changes: the tree as data. Permissions come before children, which
// inherit them.

// The whole tree of a new domain, beginning with the removal of what an earlier holder of the
// number may have left.
kj::Array<NodeChange> domainNodes(const DomainPlan& plan);

// Front end and back end of one device of an existing domain.
kj::Vector<NodeChange> diskNodes(uint32_t domid, const DiskPlan& disk);
kj::Vector<NodeChange> vifNodes(uint32_t domid, const VifConfig& vif);

// Everything that was written for the domain, its back ends included. `backendDomains` are those
// of its vifs.
kj::Array<NodeChange> purgeNodes(uint32_t domid, const Uuid& uuid,
                                 kj::ArrayPtr<const uint32_t> backendDomains);

kj::String domainPath(uint32_t domid);
kj::String diskBackendPath(uint32_t domid, uint32_t device);
kj::String diskFrontendPath(uint32_t domid, uint32_t device);
kj::String vifBackendPath(uint32_t domid, const VifConfig& vif);
kj::String vifFrontendPath(uint32_t domid, uint32_t index);

}  // namespace bulkhead::hvd
