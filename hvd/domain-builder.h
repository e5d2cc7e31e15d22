// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/array.h>
#include <kj/string.h>
#include <kj/vector.h>

#include "hvd/elf-verifier.h"
#include "hvd/xen-control.h"
#include "services/runtime/uuid.h"

namespace bulkhead::hvd {

enum class GuestKind { pv, pvh };

// What a new domain is made of. The bytes are not changed by anybody until the build is over
// (hvd/guest-files.h).
struct BuildOrder {
  Uuid uuid;
  GuestKind kind;
  uint32_t memoryMiB;
  uint32_t vcpus;  // the most it may have
  kj::String commandLine;
  kj::ArrayPtr<const kj::byte> kernel;
  kj::ArrayPtr<const kj::byte> initrd;  // may be empty
  KernelFacts facts;
};

struct BuildPhase {
  kj::StringPtr name;
  uint64_t nanoseconds;
};

// A paused domain that nobody but the hypervisor knows yet. Frames are machine frames for PV and
// guest frames for PVH, as the guest and xenstored want them.
struct BuiltDomain {
  uint32_t domid;
  uint64_t consoleFrame;
  uint32_t consolePort;
  uint64_t xenstoreFrame;
  uint32_t xenstorePort;
  kj::Vector<BuildPhase> phases;
};

// Refuses, with `insufficientMemory` and the numbers, what the host or the domain has no room for.
// Quick; the hypervisor still has the last word.
void checkMemory(const BuildOrder& order, uint64_t freeBytes);

// Builds the domain through libxenguest. Blocking: for the worker's thread, with a XenControl of
// that thread. On failure nothing is left.
BuiltDomain buildDomain(XenControl& xen, const BuildOrder& order);

}  // namespace bulkhead::hvd
