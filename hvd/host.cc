// SPDX-License-Identifier: Apache-2.0
#include "hvd/host.h"

#include <cstring>

#include <kj/debug.h>

namespace bulkhead::hvd {
namespace {

constexpr unsigned kMessageRing = 64u << 10;
constexpr unsigned kMaxCpus = 4096;

// A C string inside a fixed array that may lack its end.
template <size_t size>
kj::String bounded(const char (&text)[size]) {
  return kj::heapString(text, strnlen(text, size));
}

}  // namespace

Capabilities capabilitiesOf(const xc_physinfo_t& machine) {
  uint32_t needed = XEN_SYSCTL_PHYSCAP_hvm | XEN_SYSCTL_PHYSCAP_hap;
  return {(machine.capabilities & needed) == needed,
          (machine.capabilities & XEN_SYSCTL_PHYSCAP_pv) != 0};
}

uint64_t freeBytesOf(const xc_physinfo_t& machine) {
  // Pages that somebody has claimed and not yet taken still count as free.
  uint64_t pages = machine.free_pages > machine.outstanding_pages
                       ? machine.free_pages - machine.outstanding_pages
                       : 0;
  return pages * 4096;
}

void describeHost(XenControl& xen, schema::HostStatus::Builder out) {
  int version = xen.check(xc_version(xen.raw(), XENVER_version, nullptr), "asking for the version");
  xen_extraversion_t extra{};
  xen.check(xc_version(xen.raw(), XENVER_extraversion, &extra), "asking for the version");
  out.setXenVersion(kj::str(version >> 16, '.', version & 0xffff, bounded(extra)));
  xen_capabilities_info_t caps{};
  xen.check(xc_version(xen.raw(), XENVER_capabilities, &caps), "asking for the capabilities");
  auto text = bounded(caps);
  while (text.size() > 0 && text[text.size() - 1] == ' ') {
    text = kj::heapString(text.begin(), text.size() - 1);
  }
  out.setXenCaps(text);
  auto machine = xen.machine();
  out.setTotalMemory(uint64_t{machine.total_pages} * 4096);
  out.setFreeMemory(freeBytesOf(machine));
  out.setCpus(machine.nr_cpus);
  auto can = capabilitiesOf(machine);
  out.setPvh(can.pvh);
  out.setPv(can.pv);
}

kj::Vector<CpuPlace> cpuTopology(XenControl& xen) {
  unsigned count = 0;
  xen.check(xc_cputopoinfo(xen.raw(), &count, nullptr), "counting CPUs");
  KJ_REQUIRE(count <= kMaxCpus, "an absurd number of CPUs", count);
  auto entries = kj::heapArray<xc_cputopo_t>(count);
  xen.check(xc_cputopoinfo(xen.raw(), &count, entries.begin()), "asking for the CPU topology");
  kj::Vector<CpuPlace> result;
  for (uint32_t id = 0; id < count && id < entries.size(); ++id) {
    auto& entry = entries[id];
    if (entry.core == XEN_INVALID_CORE_ID) continue;
    result.add(CpuPlace{id, entry.core, entry.socket, entry.node});
  }
  return result;
}

kj::Array<kj::byte> readHypervisorConsole(XenControl& xen, uint32_t& position) {
  auto buffer = kj::heapArray<char>(kMessageRing);
  unsigned size = kMessageRing;
  xen.check(xc_readconsolering(xen.raw(), buffer.begin(), &size, 0, 1, &position),
            "reading the hypervisor's messages");
  return kj::heapArray(kj::arrayPtr(buffer.begin(), size).asBytes());
}

}  // namespace bulkhead::hvd
