// SPDX-License-Identifier: Apache-2.0
#include "hvd/domain-builder.h"

#include <errno.h>

#include <chrono>
#include <span>

#include <kj/debug.h>

#include "hvd/acpi-tables.h"
#include "services/runtime/failure.h"

namespace bulkhead::hvd {
namespace {

constexpr uint64_t kMiB = 1u << 20;
constexpr uint64_t kPage = 4096;

// Of a PVH guest's address space: everything from here to 4 GiB is not memory.
constexpr uint64_t kHoleStart = 0xfc000000;
constexpr uint64_t kFourGiB = uint64_t{1} << 32;
constexpr uint64_t kAcpiBytes = 16u << 10;
constexpr uint64_t kSpecialPages = 8;
constexpr uint64_t kSpecialStart = (uint64_t{X86_HVM_END_SPECIAL_REGION} - kSpecialPages) * kPage;

// Pages the hypervisor allots beside the guest's memory: console, xenstore, ACPI.
constexpr uint64_t kSlackKiB = 1024;

// What a kernel needs beside itself and its initrd to reach its first process, at the least.
constexpr uint64_t kBreathingSpace = 8 * kMiB;

enum E820Type : uint32_t { e820Ram = 1, e820Reserved = 2, e820Acpi = 3 };

class PhaseClock {
 public:
  void done(kj::StringPtr name) {
    auto now = std::chrono::steady_clock::now();
    auto spent = std::chrono::duration_cast<std::chrono::nanoseconds>(now - last).count();
    phases.add(BuildPhase{name, static_cast<uint64_t>(spent)});
    last = now;
  }
  kj::Vector<BuildPhase> take() { return kj::mv(phases); }

 private:
  std::chrono::steady_clock::time_point last = std::chrono::steady_clock::now();
  kj::Vector<BuildPhase> phases;
};

uint64_t mempoolKiB(const BuildOrder& order) {
  return 4 * (256 * uint64_t{order.vcpus} + 2 * uint64_t{order.memoryMiB});
}

class Build {
 public:
  Build(XenControl& xen, const BuildOrder& order) : xen(xen), xc(xen.raw()), order(order) {}

  BuiltDomain run() {
    createDomain();
    // From here on a failure has to take the domain away again.
    KJ_ON_SCOPE_FAILURE({
      image = nullptr;
      xc_domain_destroy(xc, domid);
    });
    prepareDomain();
    clock.done("create");
    loadImage();
    return finish();
  }

 private:
  struct Image {
    xc_dom_image* pointer = nullptr;
    Image& operator=(decltype(nullptr)) {
      if (pointer != nullptr) xc_dom_release(pointer);
      pointer = nullptr;
      return *this;
    }
    ~Image() { *this = nullptr; }
  };

  XenControl& xen;
  xc_interface* xc;
  const BuildOrder& order;
  PhaseClock clock;
  uint32_t domid = DOMID_INVALID;
  uint32_t consolePort = 0;
  uint32_t xenstorePort = 0;
  kj::Vector<e820entry> memoryMap;  // libxenguest refers to it while the image lives
  AcpiTables acpi;
  Image image;

  bool pvh() const { return order.kind == GuestKind::pvh; }
  uint64_t memoryBytes() const { return uint64_t{order.memoryMiB} * kMiB; }

  void createDomain() {
    xen_domctl_createdomain config{};
    memcpy(config.handle, order.uuid.data().begin(), sizeof config.handle);
    if (pvh()) {
      config.flags = XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap | XEN_DOMCTL_CDF_oos_off;
      config.arch.emulation_flags = XEN_X86_EMU_LAPIC;
    }
    config.max_vcpus = order.vcpus;
    config.max_evtchn_port = 1023;
    config.max_grant_frames = -1;
    config.max_maptrack_frames = -1;
    config.grant_opts = XEN_DOMCTL_GRANT_version(1);
    xen.check(xc_domain_create(xc, &domid, &config), "creating the domain");
  }

  void prepareDomain() {
    xen.check(xc_domain_max_vcpus(xc, domid, order.vcpus), "allotting vCPUs");
    uint64_t limitKiB = memoryBytes() / 1024 + kSlackKiB;
    xen.check(xc_domain_setmaxmem(xc, domid, limitKiB), "limiting memory");
    if (!pvh()) {
      xen.check(xc_domain_set_memmap_limit(xc, domid, limitKiB), "limiting the memory map");
    }
    xen.check(xc_domain_set_tsc_info(xc, domid, 0, 0, 0, 0), "setting up the clock");
    if (pvh()) {
      xen.check(xc_hvm_param_set(xc, domid, HVM_PARAM_TIMER_MODE, 1), "setting up timers");
      xen.check(xc_set_paging_mempool_size(xc, domid, mempoolKiB(order) * 1024),
                "allotting page tables");
    }
    xenstorePort = static_cast<uint32_t>(
        xen.check(xc_evtchn_alloc_unbound(xc, domid, 0), "making the xenstore event channel"));
    consolePort = static_cast<uint32_t>(
        xen.check(xc_evtchn_alloc_unbound(xc, domid, 0), "making the console event channel"));
    xen.check(
        xc_cpuid_apply_policy(xc, domid, false, nullptr, 0, true, false, false, nullptr, nullptr),
        "applying the CPU policy");
  }

  void loadImage() {
    auto* dom = image.pointer = xc_dom_allocate(xc, order.commandLine.cStr(), nullptr);
    if (dom == nullptr) xen.check(-1, "preparing the build");
    dom->container_type =
        pvh() ? xc_dom_image::XC_DOM_HVM_CONTAINER : xc_dom_image::XC_DOM_PV_CONTAINER;
    dom->max_vcpus = order.vcpus;
    dom->console_evtchn = consolePort;
    dom->console_domid = 0;
    dom->xenstore_evtchn = xenstorePort;
    dom->xenstore_domid = 0;
    dom->claim_enabled = 1;
    xen.check(xc_dom_kernel_mem(dom, order.kernel.begin(), order.kernel.size()),
              "taking the kernel");
    if (order.initrd.size() > 0) {
      xen.check(xc_dom_module_mem(dom, order.initrd.begin(), order.initrd.size(), nullptr),
                "taking the initrd");
    }
    if (pvh()) layOutMemory(*dom);
    xen.check(xc_dom_boot_xen_init(dom, xc, domid), "starting the build");
    xen.check(xc_dom_parse_image(dom), "reading the kernel");
    xen.check(xc_dom_mem_init(dom, order.memoryMiB), "planning memory");
    clock.done("parse");
    xen.check(xc_dom_boot_mem_init(dom), "populating memory");
    if (pvh()) describeMachine(*dom);
    clock.done("populate");
    xen.check(xc_dom_build_image(dom), "loading kernel and initrd");
    clock.done("load");
    xen.check(xc_dom_boot_image(dom), "preparing the first vCPU");
    xen.check(xc_dom_gnttab_init(dom), "granting the rings");
    if (pvh()) {
      xen.check(xc_hvm_param_set(xc, domid, HVM_PARAM_STORE_EVTCHN, xenstorePort),
                "setting the xenstore event channel");
      xen.check(xc_hvm_param_set(xc, domid, HVM_PARAM_CONSOLE_EVTCHN, consolePort),
                "setting the console event channel");
    }
    clock.done("boot");
  }

  void layOutMemory(xc_dom_image& dom) {
    // No device model and no populate-on-demand: the target is all there is.
    dom.device_model = false;
    dom.target_pages = memoryBytes() / kPage;
    dom.mmio_start = kHoleStart;
    dom.mmio_size = kFourGiB - kHoleStart;
    dom.vga_hole_size = 0;
    if (memoryBytes() <= kHoleStart) {
      dom.lowmem_end = memoryBytes();
      dom.highmem_end = 0;
    } else {
      dom.lowmem_end = kHoleStart;
      dom.highmem_end = kFourGiB + (memoryBytes() - kHoleStart);
    }
  }

  // ACPI tables and memory map: before the image is built, which makes room for the map.
  void describeMachine(xc_dom_image& dom) {
    acpi = makeAcpiTables(order.vcpus);
    auto module = [](kj::ArrayPtr<kj::byte> data, uint64_t address) {
      return xc_hvm_firmware_module{data.begin(), static_cast<uint32_t>(data.size()), address};
    };
    // The first one becomes rsdp_paddr of hvm_start_info.
    std::span(dom.acpi_modules)[0] = module(acpi.rsdp, AcpiTables::kRsdpAddress);
    std::span(dom.acpi_modules)[1] = module(acpi.tables, AcpiTables::kTablesAddress);

    memoryMap.add(e820entry{0, dom.lowmem_end, e820Ram});
    memoryMap.add(e820entry{kHoleStart, kAcpiBytes, e820Acpi});
    memoryMap.add(e820entry{kSpecialStart, kSpecialPages * kPage, e820Reserved});
    if (dom.highmem_end > kFourGiB) {
      memoryMap.add(e820entry{kFourGiB, dom.highmem_end - kFourGiB, e820Ram});
    }
    dom.e820 = memoryMap.begin();
    dom.e820_entries = static_cast<unsigned>(memoryMap.size());
    xen.check(xc_domain_set_memory_map(xc, domid, memoryMap.begin(), dom.e820_entries),
              "setting the memory map");
  }

  BuiltDomain finish() {
    BuiltDomain result{};
    result.domid = domid;
    result.consoleFrame = xc_dom_p2m(image.pointer, image.pointer->console_pfn);
    result.consolePort = consolePort;
    result.xenstoreFrame = xc_dom_p2m(image.pointer, image.pointer->xenstore_pfn);
    result.xenstorePort = xenstorePort;
    image = nullptr;
    clock.done("release");
    result.phases = clock.take();
    return result;
  }
};

}  // namespace

void checkMemory(const BuildOrder& order, uint64_t freeBytes) {
  uint64_t memory = uint64_t{order.memoryMiB} * kMiB;
  // The kernel stays where it is loaded; everything below that address is memory too.
  uint64_t image = order.facts.physicalEnd + order.initrd.size() + kBreathingSpace;
  if (image > memory) {
    fail(FailureCode::INSUFFICIENT_MEMORY, "memoryMiB",
         kj::str("kernel and initrd need ", (image + kMiB - 1) / kMiB, " MiB to start and ",
                 order.memoryMiB, " MiB are given"),
         "give the zone more memory");
  }
  uint64_t overhead = kSlackKiB * 1024 + uint64_t{order.vcpus} * 64 * 1024;
  if (order.kind == GuestKind::pvh) overhead += mempoolKiB(order) * 1024;
  uint64_t wanted = memory + overhead;
  if (wanted > freeBytes) {
    fail(FailureCode::INSUFFICIENT_MEMORY, "host",
         kj::str("too little memory on the host: ", (wanted + kMiB - 1) / kMiB, " MiB wanted, ",
                 freeBytes / kMiB, " MiB free"),
         "stop a zone or ask for less memory");
  }
}

BuiltDomain buildDomain(XenControl& xen, const BuildOrder& order) {
  return Build(xen, order).run();
}

}  // namespace bulkhead::hvd
