// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/io.h>
#include <kj/vector.h>

#include "hvd/domain-builder.h"
#include "hvd/domain-config.h"
#include "hvd/domain.h"

namespace bulkhead::hvd {

// What came with a checked spec, in the order of its disks.
struct DomainFiles {
  kj::AutoCloseFd kernel;
  kj::Maybe<kj::AutoCloseFd> initrd;
  kj::Vector<kj::AutoCloseFd> disks;
};

struct Creation {
  struct Holder {
    uint32_t device;  // xenbus number
    kj::AutoCloseFd fd;
  };

  JournalRecord record;            // alive
  kj::Vector<Holder> diskHolders;  // for Domain::hold
  kj::Vector<BuildPhase> phases;
};

// From a spec to a paused domain with its devices attached, known to xenstored and to the journal.
// On failure nothing is left. Must run to its end once begun: whoever no longer wants the domain
// destroys it afterwards.
kj::Promise<Creation> createDomain(Machine& machine, DomainConfig config, DomainFiles files);

}  // namespace bulkhead::hvd
