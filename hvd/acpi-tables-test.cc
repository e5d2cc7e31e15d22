// SPDX-License-Identifier: Apache-2.0
#include "hvd/acpi-tables.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

namespace bulkhead::hvd {
namespace {

uint64_t number(kj::ArrayPtr<const kj::byte> bytes, size_t at, size_t size) {
  uint64_t value = 0;
  for (size_t i = size; i-- > 0;) value = value << 8 | bytes[at + i];
  return value;
}

// The table at an address, its sum checked.
kj::ArrayPtr<const kj::byte> tableAt(const AcpiTables& acpi, uint64_t address,
                                     const char* signature) {
  auto start = address - AcpiTables::kTablesAddress;
  auto size = number(acpi.tables, start + 4, 4);
  auto table = acpi.tables.slice(start, start + size);
  EXPECT_EQ(std::string(table.asChars().begin(), 4), signature);
  unsigned sum = 0;
  for (auto b : table) sum += b;
  EXPECT_EQ(sum % 256, 0u) << signature;
  return table;
}

TEST(AcpiTables, LeadFromTheRootToTheProcessors) {
  for (uint32_t vcpus : {1u, 2u, 64u}) {
    auto acpi = makeAcpiTables(vcpus);
    EXPECT_LE(acpi.tables.size(), 4096u);
    unsigned sum = 0;
    for (auto b : acpi.rsdp.slice(0, 20)) sum += b;
    EXPECT_EQ(sum % 256, 0u);
    for (auto b : acpi.rsdp.slice(20, 36)) sum += b;
    EXPECT_EQ(sum % 256, 0u);
    auto xsdt = tableAt(acpi, number(acpi.rsdp, 24, 8), "XSDT");
    auto fadt = tableAt(acpi, number(xsdt, 36, 8), "FACP");
    EXPECT_EQ(fadt.size(), 268u);
    EXPECT_EQ(number(fadt, 112, 4), 1u << 20);
    tableAt(acpi, number(fadt, 140, 8), "DSDT");
    auto madt = tableAt(acpi, number(xsdt, 44, 8), "APIC");
    ASSERT_EQ(madt.size(), 44 + vcpus * 8);
    for (uint32_t cpu = 0; cpu < vcpus; ++cpu) EXPECT_EQ(madt[44 + cpu * 8 + 3], cpu * 2);
  }
}

}  // namespace
}  // namespace bulkhead::hvd
