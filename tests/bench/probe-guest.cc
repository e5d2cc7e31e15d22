// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/probe-guest.h"

#include <algorithm>
#include <memory>
#include <sstream>
#include <stdexcept>

#include "hvd/xen-headers.h"
#include "tests/xen/guest-files.h"

namespace bulkhead::bench {
namespace {

// Brought here by `./dev bench`.
constexpr char kProbe[] = "/root/probe-init";

ProbeCosts measureOnce(const PeerGuest& guest, const std::string& mark, xc_interface* xen) {
  PausedGuest paused(guest);
  double start = millisecondsNow();
  // Not by xl: starting a program costs as much as a fast kernel's boot.
  if (xc_domain_unpause(xen, paused.domid()) != 0) throw std::runtime_error("cannot unpause");
  paused.readUntil(mark);
  double milliseconds = millisecondsNow() - start;
  paused.readUntil("MemAvailable:");
  std::istringstream rest(paused.readUntil("kB"));
  double availableKiB = 0;
  rest >> availableKiB;
  return {milliseconds, guest.memoryMiB - availableKiB / 1024};
}

}  // namespace

PeerGuest probeGuest(const std::string& layout, const std::string& directory, unsigned memoryMiB) {
  xentest::extractKernel(layout, directory);
  xentest::shell(
      "cd " + directory + " && mkdir -p root && cp " + kProbe +
      " root/init && (cd root && find . | busybox cpio -o -H newc 2>/dev/null) > initrd");
  return {directory + "/kernel/image", directory + "/initrd", {}, "pv", memoryMiB};
}

ProbeCosts measureProbe(const PeerGuest& guest, const std::string& mark, int runs) {
  std::unique_ptr<xc_interface, int (*)(xc_interface*)> xen(xc_interface_open(nullptr, nullptr, 0),
                                                            xc_interface_close);
  if (xen == nullptr) throw std::runtime_error("cannot open the hypervisor");
  auto result = measureOnce(guest, mark, xen.get());
  for (int i = 1; i < runs; ++i) {
    auto next = measureOnce(guest, mark, xen.get());
    result = {std::min(result.milliseconds, next.milliseconds),
              std::min(result.keptMiB, next.keptMiB)};
  }
  return result;
}

}  // namespace bulkhead::bench
