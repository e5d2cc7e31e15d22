// SPDX-License-Identifier: Apache-2.0
#include "imaged/testing/test-kernel.h"

#include <elf.h>
#include <string.h>

#include <kj/debug.h>

#include "imaged/testing/processes.h"
#include "imaged/testing/test-image.h"

namespace bulkhead::testing {
namespace {

constexpr size_t kText = 0x3000;
constexpr size_t kTextSize = 0x1000;
constexpr size_t kNotes = kText + 0x100;
constexpr size_t kData = 0x1000;
constexpr uint64_t kTextAddress = 0x1000000;
constexpr uint64_t kVirtual = 0xffffffff80000000;
constexpr uint32_t kPhys32Entry = 18;  // xen/elfnote.h

template <typename T>
void put(kj::ArrayPtr<kj::byte> bytes, size_t at, const T& value) {
  memcpy(bytes.begin() + at, &value, sizeof value);
}

Elf64_Phdr segment(uint32_t type, uint32_t flags, size_t offset, uint64_t address, size_t inFile,
                   size_t inMemory) {
  return {type, flags, offset, kVirtual + address, address, inFile, inMemory, 0x200000};
}

}  // namespace

kj::Array<kj::byte> kernelElf(kj::StringPtr release) {
  auto bytes = kj::heapArray<kj::byte>(kText + kTextSize + 512);
  memset(bytes.begin(), 0, bytes.size());
  Elf64_Ehdr header{};
  memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = ET_EXEC;
  header.e_machine = EM_X86_64;
  header.e_version = EV_CURRENT;
  header.e_entry = kTextAddress;
  header.e_phoff = 0x200;
  header.e_shoff = kText + kTextSize;
  header.e_ehsize = sizeof header;
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = 4;
  header.e_shentsize = sizeof(Elf64_Shdr);
  header.e_shnum = 1;
  put(bytes, 0, header);
  Elf64_Phdr table[] = {
      segment(PT_GNU_STACK, PF_R, 0, 0, 0, 0),
      segment(PT_LOAD, PF_R | PF_W, kData, 0x2000000, 100, 0x3000),
      segment(PT_LOAD, PF_R | PF_X, kText, kTextAddress, kTextSize, kTextSize),
      segment(PT_NOTE, PF_R, kNotes, kTextAddress + 0x100, 20, 20),
  };
  put(bytes, header.e_phoff, table);
  Elf64_Nhdr note{4, 4, kPhys32Entry};
  put(bytes, kNotes, note);
  memcpy(bytes.begin() + kNotes + sizeof note, "Xen", 4);
  put(bytes, kNotes + sizeof note + 4, static_cast<uint32_t>(kTextAddress));
  auto banner = kj::str("Linux version %s (%s)\n", '\0', "Linux version ", release, " (a@b) #1\n");
  memcpy(bytes.begin() + kText + 0x400, banner.begin(), banner.size());
  memset(bytes.begin() + kData, 'd', 100);
  return bytes;
}

kj::Array<kj::byte> bzImage(kj::ArrayPtr<const kj::byte> payload) {
  constexpr size_t kSectors = 2;
  constexpr uint32_t kOffset = 0x40;
  constexpr size_t kStart = (kSectors + 1) * 512;
  auto bytes = kj::heapArray<kj::byte>(kStart + kOffset + payload.size() + 100);
  memset(bytes.begin(), 0, bytes.size());
  bytes[0x1f1] = kSectors;
  put(bytes, 0x1fe, uint16_t{0xaa55});
  memcpy(bytes.begin() + 0x202, "HdrS", 4);
  put(bytes, 0x206, uint16_t{0x20f});
  put(bytes, 0x248, kOffset);
  put(bytes, 0x24c, static_cast<uint32_t>(payload.size()));
  memcpy(bytes.begin() + kStart + kOffset, payload.begin(), payload.size());
  return bytes;
}

kj::Array<kj::byte> modulesSquashfs(kj::StringPtr release) {
  TemporaryDirectory directory;
  directory.makeDirectory(kj::str("tree/modules/", release));
  auto image = directory.path("image");
  runCommand({"mksquashfs", directory.path("tree"), image, "-quiet", "-no-progress", "-noappend"});
  return readFile(image);
}

}  // namespace bulkhead::testing
