// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/array.h>

#include <cstdint>

namespace bulkhead::hvd {

// The few ACPI 5.0 tables a PVH guest needs to find its processors: DSDT (empty), MADT, FADT
// (hardware-reduced) and XSDT in one page, and the RSDP in another.
struct AcpiTables {
  static constexpr uint64_t kTablesAddress = 0xfc001000;
  static constexpr uint64_t kRsdpAddress = 0xfc002000;

  kj::Array<kj::byte> tables;  // for kTablesAddress
  kj::Array<kj::byte> rsdp;    // for kRsdpAddress
};

// For `vcpus` processors, 64 at most, whose local APIC ids are 0, 2, 4, ...
AcpiTables makeAcpiTables(uint32_t vcpus);

}  // namespace bulkhead::hvd
