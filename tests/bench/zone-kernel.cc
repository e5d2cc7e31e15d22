// SPDX-License-Identifier: Apache-2.0
// The zone kernel alone: from unpause to the first instruction of /init, and what it keeps of the
// memory, beside Debian's generic kernel.

#include "tests/bench/probe-guest.h"
#include "tests/bench/rows.h"
#include "tests/xen/guest-files.h"

namespace bulkhead::bench {
namespace {

constexpr unsigned kMemoryMiB = 128;
constexpr int kRuns = 3;

// Brought here by `./dev bench`.
constexpr char kGenericLayout[] = "/root/debian-generic";

}  // namespace

Rows measureZoneKernel() {
  auto ours = probeGuest(xentest::kZoneKernelLayout, "/root/zone-kernel", kMemoryMiB);
  auto generic = probeGuest(kGenericLayout, "/root/generic-kernel", kMemoryMiB);
  Rows rows;
  for (auto* type : {"pv", "pvh"}) {
    ours.type = generic.type = type;
    auto mine = measureProbe(ours, "PROBE-IS-UP", kRuns);
    auto peer = measureProbe(generic, "PROBE-IS-UP", kRuns);
    std::string label = std::string(type) + ": ";
    rows.push_back(
        {label + "unpause to /init", mine.milliseconds, "ms", "Debian generic", peer.milliseconds});
    rows.push_back(
        {label + "memory kept of 128 MiB", mine.keptMiB, "MiB", "Debian generic", peer.keptMiB});
  }
  return rows;
}

}  // namespace bulkhead::bench
