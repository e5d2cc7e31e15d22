// SPDX-License-Identifier: Apache-2.0
#include "imaged/unpack/kernel-elf.h"

#include <elf.h>
#include <string.h>

#include <algorithm>
#include <span>

#include <kj/debug.h>
#include <kj/vector.h>

#include "imaged/file-bytes.h"
#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

constexpr uint64_t kPage = 4096;
constexpr size_t kMostHeaders = 64;
constexpr size_t kMostLoads = 15;
constexpr uint64_t kMostNotes = 64u << 10;
constexpr size_t kBuffer = 1u << 20;
constexpr kj::StringPtr kBanner = "Linux version "_kj;
constexpr size_t kMostRelease = 64;

void require(bool holds, kj::StringPtr rule) {
  if (!holds) fail(FailureCode::INVALID, "kernel/image", kj::str("the kernel ", rule));
}

template <typename T>
T readObject(int file, FileRange source, uint64_t offset, kj::StringPtr rule) {
  require(offset <= source.length && sizeof(T) <= source.length - offset, rule);
  T result;
  readAt(file, source.offset + offset,
         kj::arrayPtr(reinterpret_cast<kj::byte*>(&result), sizeof result));
  return result;
}

bool inside(uint64_t start, uint64_t length, uint64_t limit) {
  return start <= limit && length <= limit - start;
}

Elf64_Ehdr readHeader(int file, FileRange source) {
  auto header = readObject<Elf64_Ehdr>(file, source, 0, "is shorter than an ELF header");
  require(memcmp(header.e_ident, ELFMAG, SELFMAG) == 0, "is no ELF file");
  std::span ident(header.e_ident);
  bool ours = ident[EI_CLASS] == ELFCLASS64 && ident[EI_DATA] == ELFDATA2LSB &&
              header.e_machine == EM_X86_64;
  if (!ours) fail(FailureCode::UNSUPPORTED, "kernel/image", "the kernel is not for x86-64");
  require(header.e_type == ET_EXEC, "is not linked to fixed addresses");
  require(header.e_phentsize == sizeof(Elf64_Phdr), "has program headers of an unknown size");
  require(header.e_phnum <= kMostHeaders, "has more than 64 program headers");
  return header;
}

struct Segments {
  kj::Vector<Elf64_Phdr> loads;  // by physical address
  Elf64_Phdr notes;
};

Segments readSegments(int file, FileRange source, const Elf64_Ehdr& header) {
  Segments result;
  kj::Maybe<Elf64_Phdr> notes;
  for (uint i = 0; i < header.e_phnum; ++i) {
    require(header.e_phoff <= source.length, "has its program headers outside the file");
    auto segment = readObject<Elf64_Phdr>(file, source, header.e_phoff + i * sizeof(Elf64_Phdr),
                                          "has its program headers outside the file");
    bool load = segment.p_type == PT_LOAD && segment.p_memsz > 0;
    if (!load && segment.p_type != PT_NOTE) continue;
    require(inside(segment.p_offset, segment.p_filesz, source.length),
            "has a segment outside the file");
    if (segment.p_type == PT_NOTE) {
      require(notes == nullptr, "has more than one segment of notes");
      require(segment.p_filesz <= kMostNotes, "has more than 64 KiB of notes");
      notes = segment;
      continue;
    }
    require(segment.p_filesz <= segment.p_memsz, "has a segment larger in the file than in memory");
    require(segment.p_memsz <= kMostKernelBytes && segment.p_paddr <= UINT64_MAX - segment.p_memsz,
            "has a segment of more than 256 MiB");
    result.loads.add(segment);
  }
  require(result.loads.size() > 0 && result.loads.size() <= kMostLoads,
          "does not have 1 to 15 segments to load");
  std::sort(result.loads.begin(), result.loads.end(),
            [](const auto& a, const auto& b) { return a.p_paddr < b.p_paddr; });
  for (size_t i = 1; i < result.loads.size(); ++i) {
    const auto& before = result.loads[i - 1];
    require(before.p_paddr + before.p_memsz <= result.loads[i].p_paddr,
            "has segments that overlap in memory");
  }
  KJ_IF_MAYBE (segment, notes) {
    result.notes = *segment;
  } else {
    require(false, "has no notes");
  }
  return result;
}

void requireXenNotes(int file, FileRange source, const Elf64_Phdr& notes) {
  auto bytes = kj::heapArray<kj::byte>(notes.p_filesz);
  readAt(file, source.offset + notes.p_offset, bytes);
  require(memmem(bytes.begin(), bytes.size(), "Xen", 4) != nullptr,
          "has no Xen notes: it does not run as a Xen guest");
}

}  // namespace

uint64_t writeCanonicalElf(int file, FileRange source, uint64_t target) {
  auto header = readHeader(file, source);
  auto segments = readSegments(file, source, header);
  requireXenNotes(file, source, segments.notes);

  kj::Vector<Elf64_Phdr> table;
  uint64_t end = sizeof header + (segments.loads.size() + 1) * sizeof(Elf64_Phdr);
  kj::Maybe<Elf64_Phdr> placedNotes;
  for (auto load : segments.loads) {
    // Offset and address agree modulo the page size, as ELF demands of what can be mapped.
    uint64_t offset = end + (load.p_vaddr - end) % kPage;
    copyWithin(file, source.offset + load.p_offset, target + offset, load.p_filesz);
    uint64_t shift = segments.notes.p_offset - load.p_offset;
    if (segments.notes.p_offset >= load.p_offset &&
        inside(shift, segments.notes.p_filesz, load.p_filesz)) {
      auto notes = segments.notes;
      notes.p_offset = offset + shift;
      notes.p_memsz = notes.p_filesz;
      notes.p_align = 4;
      placedNotes = notes;
    }
    load.p_offset = offset;
    load.p_align = kPage;
    end = offset + load.p_filesz;
    table.add(load);
  }
  KJ_IF_MAYBE (notes, placedNotes) {
    table.add(*notes);
  } else {
    require(false, "has its notes in no segment that is loaded");
  }

  Elf64_Ehdr head{};
  memcpy(head.e_ident, ELFMAG, SELFMAG);
  std::span ident(head.e_ident);
  ident[EI_CLASS] = ELFCLASS64;
  ident[EI_DATA] = ELFDATA2LSB;
  ident[EI_VERSION] = EV_CURRENT;
  head.e_type = ET_EXEC;
  head.e_machine = EM_X86_64;
  head.e_version = EV_CURRENT;
  head.e_entry = header.e_entry;
  head.e_phoff = sizeof head;
  head.e_ehsize = sizeof head;
  head.e_phentsize = sizeof(Elf64_Phdr);
  head.e_phnum = static_cast<Elf64_Half>(table.size());
  writeAt(file, target, kj::arrayPtr(reinterpret_cast<const kj::byte*>(&head), sizeof head));
  writeAt(file, target + sizeof head,
          kj::arrayPtr(reinterpret_cast<const kj::byte*>(table.begin()),
                       table.size() * sizeof(Elf64_Phdr)));
  return end;
}

kj::Maybe<kj::String> linuxRelease(int file, uint64_t size) {
  auto buffer = kj::heapArray<kj::byte>(kBuffer);
  // A banner across two buffers is whole in the second one.
  constexpr size_t kOverlap = 256;
  for (uint64_t at = 0; at < size; at += kBuffer - kOverlap) {
    auto part = buffer.slice(0, kj::min(kBuffer, size - at)).asChars();
    readAt(file, at, part.asBytes());
    for (auto rest = part; rest.size() > kBanner.size();) {
      auto* found =
          static_cast<char*>(memmem(rest.begin(), rest.size(), kBanner.begin(), kBanner.size()));
      if (found == nullptr) break;
      rest = rest.slice(static_cast<size_t>(found - rest.begin()) + kBanner.size(), rest.size());
      size_t length = 0;
      while (length < rest.size() && length <= kMostRelease && rest[length] > ' ') ++length;
      bool whole = length < rest.size() && length <= kMostRelease && rest[length] == ' ';
      // "Linux version %s" is there as well.
      if (whole && rest[0] >= '0' && rest[0] <= '9') return kj::heapString(rest.slice(0, length));
    }
  }
  return nullptr;
}

}  // namespace bulkhead
