// SPDX-License-Identifier: Apache-2.0
// What a zone pays when each layer of its image is a file system of its own, stacked with overlay,
// instead of one file system that holds them all: from unpause to the mounted root, and the memory.

#include "tests/bench/probe-guest.h"
#include "tests/bench/rows.h"
#include "tests/xen/guest-files.h"
#include "tests/xen/host.h"

namespace bulkhead::bench {
namespace {

constexpr unsigned kMemoryMiB = 128;
constexpr int kRuns = 2;
constexpr size_t kMostLayers = 8;

// Brought here by `./dev bench`: a file system of some files.
constexpr char kLayer[] = "/root/layer.squashfs";

// Up to the root's last mount.
ProbeCosts measureMounted(const PeerGuest& guest) {
  return measureProbe(guest, "ROOT-IS-MOUNTED " + std::to_string(guest.disks.size()) + ".", kRuns);
}

}  // namespace

Rows measureLayerStart() {
  auto guest = probeGuest(xentest::kZoneKernelLayout, "/root/zone-kernel", kMemoryMiB);
  // One device a disk: xl compares a file with all that are in use, for seconds.
  std::vector<std::string> disks;
  for (size_t i = 0; i < kMostLayers; ++i) {
    auto device = xentest::run({"losetup", "--find", "--show", "--read-only", kLayer}).out;
    disks.push_back(device.substr(0, device.find('\n')));
  }
  guest.disks.assign(disks.begin(), disks.begin() + 1);
  auto flat = measureMounted(guest);
  Rows rows;
  for (size_t layers : {kMostLayers / 2, kMostLayers}) {
    guest.disks.assign(disks.begin(), disks.begin() + static_cast<std::ptrdiff_t>(layers));
    auto stacked = measureMounted(guest);
    std::string label = std::to_string(layers) + " layers: ";
    rows.push_back({label + "unpause to mounted root", stacked.milliseconds, "ms", "one layer",
                    flat.milliseconds});
    rows.push_back(
        {label + "memory kept of 128 MiB", stacked.keptMiB, "MiB", "one layer", flat.keptMiB});
  }
  return rows;
}

}  // namespace bulkhead::bench
