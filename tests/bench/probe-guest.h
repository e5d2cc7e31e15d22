// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "tests/bench/xl-peer.h"

namespace bulkhead::bench {

// A kernel and an initrd of nothing but the probe; no disks. `layout` is the kernel's image. Files
// go below `directory`.
PeerGuest probeGuest(const std::string& layout, const std::string& directory, unsigned memoryMiB);

struct ProbeCosts {
  double milliseconds;  // from unpause to the mark
  double keptMiB;       // of memory, not available to programs
};

// The least of each in so many runs, up to a mark that the probe writes. Throws
// std::runtime_error naming the step.
ProbeCosts measureProbe(const PeerGuest& guest, const std::string& mark, int runs);

}  // namespace bulkhead::bench
