// SPDX-License-Identifier: Apache-2.0
// The zone kernel alone: from unpause to the first instruction of /init, and what it keeps of the
// memory, beside Debian's generic kernel.

#include <algorithm>
#include <stdexcept>

#include "hvd/xen-headers.h"
#include "tests/bench/rows.h"
#include "tests/bench/xl-peer.h"
#include "tests/xen/guest-files.h"

namespace bulkhead::bench {
namespace {

constexpr unsigned kMemoryMiB = 128;
constexpr int kRuns = 3;

// Brought here by `./dev bench`.
constexpr char kGenericLayout[] = "/root/debian-generic";

struct Measured {
  double boot;     // milliseconds from unpause to /init
  double keptMiB;  // of memory, not available to programs
};

Measured measureOnce(const PeerGuest& guest, xc_interface* xen) {
  PausedGuest paused(guest);
  double start = millisecondsNow();
  // Not by xl: starting a program costs as much as a fast kernel's boot.
  if (xc_domain_unpause(xen, paused.domid()) != 0) throw std::runtime_error("cannot unpause");
  paused.readUntil("PROBE-IS-UP");
  double boot = millisecondsNow() - start;
  return {boot, kMemoryMiB - paused.readAvailableMiB()};
}

Measured best(const PeerGuest& guest, xc_interface* xen) {
  auto result = measureOnce(guest, xen);
  for (int i = 1; i < kRuns; ++i) {
    auto next = measureOnce(guest, xen);
    result = {std::min(result.boot, next.boot), std::min(result.keptMiB, next.keptMiB)};
  }
  return result;
}

}  // namespace

Rows measureZoneKernel() {
  auto* xen = xc_interface_open(nullptr, nullptr, 0);
  if (xen == nullptr) throw std::runtime_error("cannot open the hypervisor");
  auto ours = probeGuest(xentest::kZoneKernelLayout, "/root/zone-kernel", kMemoryMiB);
  auto generic = probeGuest(kGenericLayout, "/root/generic-kernel", kMemoryMiB);
  Rows rows;
  for (auto* type : {"pv", "pvh"}) {
    ours.type = generic.type = type;
    auto mine = best(ours, xen);
    auto peer = best(generic, xen);
    std::string label = std::string(type) + ": ";
    rows.push_back({label + "unpause to /init", mine.boot, "ms", "Debian generic", peer.boot});
    rows.push_back(
        {label + "memory kept of 128 MiB", mine.keptMiB, "MiB", "Debian generic", peer.keptMiB});
  }
  xc_interface_close(xen);
  return rows;
}

}  // namespace bulkhead::bench
