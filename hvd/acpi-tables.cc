// SPDX-License-Identifier: Apache-2.0
#include "hvd/acpi-tables.h"

#include <cstring>

#include <kj/debug.h>
#include <kj/vector.h>

namespace bulkhead::hvd {
namespace {

// Sizes and offsets of the ACPI specification 5.0, chapter 5.2.
constexpr size_t kHeaderBytes = 36;
constexpr size_t kFadtBytes = 268;
constexpr size_t kRsdpBytes = 36;

void put(kj::ArrayPtr<kj::byte> bytes, size_t at, uint64_t value, size_t size) {
  for (size_t i = 0; i < size; ++i) bytes[at + i] = static_cast<kj::byte>(value >> (8 * i));
}

void putText(kj::ArrayPtr<kj::byte> bytes, size_t at, kj::StringPtr text) {
  memcpy(bytes.slice(at, at + text.size()).begin(), text.begin(), text.size());
}

// Makes the bytes sum up to 0 by the one at `at`.
void balance(kj::ArrayPtr<kj::byte> bytes, size_t at) {
  bytes[at] = 0;
  unsigned sum = 0;
  for (auto b : bytes) sum += b;
  bytes[at] = static_cast<kj::byte>(256 - sum % 256);
}

void finishTable(kj::ArrayPtr<kj::byte> table, kj::StringPtr signature, kj::byte revision) {
  putText(table, 0, signature);
  put(table, 4, table.size(), 4);
  table[8] = revision;
  putText(table, 10, "BLKHD ");
  putText(table, 16, "BULKHEAD");
  put(table, 24, 1, 4);
  putText(table, 28, "BLKH");
  put(table, 32, 1, 4);
  balance(table, 9);
}

kj::Array<kj::byte> zeroes(size_t size) {
  auto result = kj::heapArray<kj::byte>(size);
  memset(result.begin(), 0, size);
  return result;
}

kj::Array<kj::byte> makeMadt(uint32_t vcpus) {
  constexpr size_t kEntryBytes = 8;
  auto table = zeroes(kHeaderBytes + 8 + vcpus * kEntryBytes);
  put(table, 36, 0xfee00000, 4);  // of the local APIC
  for (uint32_t cpu = 0; cpu < vcpus; ++cpu) {
    size_t at = kHeaderBytes + 8 + cpu * kEntryBytes;
    table[at] = 0;  // processor local APIC
    table[at + 1] = kEntryBytes;
    table[at + 2] = static_cast<kj::byte>(cpu);
    table[at + 3] = static_cast<kj::byte>(cpu * 2);
    put(table, at + 4, 1, 4);  // enabled
  }
  finishTable(table, "APIC", 3);
  return table;
}

kj::Array<kj::byte> makeFadt(uint64_t dsdt) {
  auto table = zeroes(kFadtBytes);
  put(table, 40, dsdt, 4);
  put(table, 109, 1u << 2 | 1u << 5, 2);  // no VGA, no CMOS clock
  put(table, 112, 1u << 20, 4);           // hardware-reduced
  put(table, 140, dsdt, 8);
  finishTable(table, "FACP", 5);
  return table;
}

}  // namespace

AcpiTables makeAcpiTables(uint32_t vcpus) {
  KJ_REQUIRE(vcpus >= 1 && vcpus <= 64);
  kj::Vector<kj::byte> page;
  auto place = [&](kj::ArrayPtr<const kj::byte> table) {
    while (page.size() % 16 != 0) page.add(0);
    uint64_t address = AcpiTables::kTablesAddress + page.size();
    page.addAll(table);
    return address;
  };
  auto dsdt = zeroes(kHeaderBytes);
  finishTable(dsdt, "DSDT", 5);
  uint64_t dsdtAddress = place(dsdt);
  uint64_t madtAddress = place(makeMadt(vcpus));
  uint64_t fadtAddress = place(makeFadt(dsdtAddress));
  auto xsdt = zeroes(kHeaderBytes + 2 * 8);
  put(xsdt, kHeaderBytes, fadtAddress, 8);
  put(xsdt, kHeaderBytes + 8, madtAddress, 8);
  finishTable(xsdt, "XSDT", 1);
  uint64_t xsdtAddress = place(xsdt);
  KJ_ASSERT(page.size() <= AcpiTables::kRsdpAddress - AcpiTables::kTablesAddress);

  auto rsdp = zeroes(kRsdpBytes);
  putText(rsdp, 0, "RSD PTR ");
  putText(rsdp, 9, "BLKHD ");
  rsdp[15] = 2;
  put(rsdp, 20, kRsdpBytes, 4);
  put(rsdp, 24, xsdtAddress, 8);
  balance(rsdp.slice(0, 20), 8);
  balance(rsdp, 32);
  return {page.releaseAsArray(), kj::mv(rsdp)};
}

}  // namespace bulkhead::hvd
