// SPDX-License-Identifier: Apache-2.0
// What a zone pays when each layer of its image is a file system of its own, stacked with overlay,
// instead of one file system that holds them all: from unpause to the mounted root, and the memory.

#include <algorithm>
#include <stdexcept>

#include "hvd/xen-headers.h"
#include "tests/bench/rows.h"
#include "tests/bench/xl-peer.h"
#include "tests/xen/guest-files.h"
#include "tests/xen/host.h"

namespace bulkhead::bench {
namespace {

constexpr unsigned kMemoryMiB = 128;
constexpr int kRuns = 2;
constexpr size_t kMostLayers = 8;

// Brought here by `./dev bench`: a file system of some files.
constexpr char kLayer[] = "/root/layer.squashfs";

struct Measured {
  double mounted;  // from unpause to the root's last mount, milliseconds
  double keptMiB;  // of memory, not available to programs then
};

Measured measureOnce(const PeerGuest& guest, xc_interface* xen) {
  PausedGuest paused(guest);
  double start = millisecondsNow();
  if (xc_domain_unpause(xen, paused.domid()) != 0) throw std::runtime_error("cannot unpause");
  paused.readUntil("ROOT-IS-MOUNTED " + std::to_string(guest.disks.size()) + ".");
  double mounted = millisecondsNow() - start;
  return {mounted, kMemoryMiB - paused.readAvailableMiB()};
}

Measured best(const PeerGuest& guest, xc_interface* xen) {
  auto result = measureOnce(guest, xen);
  for (int i = 1; i < kRuns; ++i) {
    auto next = measureOnce(guest, xen);
    result = {std::min(result.mounted, next.mounted), std::min(result.keptMiB, next.keptMiB)};
  }
  return result;
}

}  // namespace

Rows measureLayerStart() {
  auto* xen = xc_interface_open(nullptr, nullptr, 0);
  if (xen == nullptr) throw std::runtime_error("cannot open the hypervisor");
  auto guest = probeGuest(xentest::kZoneKernelLayout, "/root/zone-kernel", kMemoryMiB);
  // One device a disk: xl compares a file with all that are in use, for seconds.
  std::vector<std::string> disks;
  for (size_t i = 0; i < kMostLayers; ++i) {
    auto device = xentest::run({"losetup", "--find", "--show", "--read-only", kLayer}).out;
    disks.push_back(device.substr(0, device.find('\n')));
  }
  guest.disks.assign(disks.begin(), disks.begin() + 1);
  auto flat = best(guest, xen);
  Rows rows;
  for (size_t layers : {kMostLayers / 2, kMostLayers}) {
    guest.disks.assign(disks.begin(), disks.begin() + static_cast<std::ptrdiff_t>(layers));
    auto stacked = best(guest, xen);
    std::string label = std::to_string(layers) + " layers: ";
    rows.push_back(
        {label + "unpause to mounted root", stacked.mounted, "ms", "one layer", flat.mounted});
    rows.push_back(
        {label + "memory kept of 128 MiB", stacked.keptMiB, "MiB", "one layer", flat.keptMiB});
  }
  xc_interface_close(xen);
  return rows;
}

}  // namespace bulkhead::bench
