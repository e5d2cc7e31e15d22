// SPDX-License-Identifier: Apache-2.0
#include "hvd/elf-verifier.h"

#include <elf.h>

#include <cstring>
#include <span>

#include <kj/common.h>
#include <kj/vector.h>

#include "hvd/xen-headers.h"
#include "services/runtime/failure.h"

namespace bulkhead::hvd {
namespace {

constexpr uint64_t kMemoryLimit = 256u << 20;
constexpr uint64_t kNotesLimit = 64u << 10;
constexpr size_t kNoteCountLimit = 64;

void require(bool holds, kj::StringPtr rule) {
  if (!holds) {
    fail(FailureCode::INVALID, "kernel", rule,
         "kernels come in the canonical form that importing an image produces");
  }
}

template <typename T>
T copyOut(kj::ArrayPtr<const kj::byte> bytes, uint64_t offset) {
  T result;
  memcpy(&result, bytes.slice(offset, offset + sizeof result).begin(), sizeof result);
  return result;
}

// start + length <= limit, without overflow.
bool inside(uint64_t start, uint64_t length, uint64_t limit) {
  return start <= limit && length <= limit - start;
}

struct Notes {
  kj::Maybe<uint64_t> entry;
  kj::Maybe<uint64_t> phys32Entry;
};

uint64_t numberOf(kj::ArrayPtr<const kj::byte> value) {
  require(value.size() == 4 || value.size() == 8, "a Xen entry note is not 4 or 8 bytes long");
  if (value.size() == 4) return copyOut<uint32_t>(value, 0);
  return copyOut<uint64_t>(value, 0);
}

Notes readNotes(kj::ArrayPtr<const kj::byte> segment) {
  Notes result;
  uint32_t seen = 0;
  size_t count = 0;
  uint64_t at = 0;
  while (at < segment.size()) {
    require(++count <= kNoteCountLimit, "too many notes");
    require(inside(at, sizeof(Elf64_Nhdr), segment.size()), "a note is cut off");
    auto header = copyOut<Elf64_Nhdr>(segment, at);
    at += sizeof header;
    uint64_t nameSize = (uint64_t{header.n_namesz} + 3) & ~uint64_t{3};
    uint64_t valueSize = (uint64_t{header.n_descsz} + 3) & ~uint64_t{3};
    require(inside(at, nameSize, segment.size()), "a note's name is cut off");
    auto name = segment.slice(at, at + header.n_namesz);
    at += nameSize;
    require(inside(at, valueSize, segment.size()), "a note's value is cut off");
    auto value = segment.slice(at, at + header.n_descsz);
    at += valueSize;

    if (name.size() != 4 || memcmp(name.begin(), "Xen", 4) != 0) continue;
    require(header.n_type <= XEN_ELFNOTE_MAX, "an unknown Xen note");
    require((seen >> header.n_type & 1) == 0, "a Xen note appears twice");
    seen |= uint32_t{1} << header.n_type;
    if (header.n_type == XEN_ELFNOTE_ENTRY) result.entry = numberOf(value);
    if (header.n_type == XEN_ELFNOTE_PHYS32_ENTRY) result.phys32Entry = numberOf(value);
  }
  return result;
}

void verifyHeader(const Elf64_Ehdr& header) {
  require(memcmp(header.e_ident, ELFMAG, SELFMAG) == 0, "not an ELF file");
  std::span ident(header.e_ident);
  require(ident[EI_CLASS] == ELFCLASS64, "not a 64-bit ELF file");
  require(ident[EI_DATA] == ELFDATA2LSB, "not a little-endian ELF file");
  require(ident[EI_VERSION] == EV_CURRENT && header.e_version == EV_CURRENT, "not ELF version 1");
  require(header.e_machine == EM_X86_64, "not for x86-64");
  require(header.e_type == ET_EXEC, "not an executable at fixed addresses");
  require(header.e_ehsize == sizeof(Elf64_Ehdr), "the ELF header is not 64 bytes long");
  require(header.e_shnum == 0 && header.e_shoff == 0 && header.e_shstrndx == 0,
          "has section headers");
  require(header.e_phoff == sizeof(Elf64_Ehdr),
          "the program headers are not directly behind the ELF header");
  require(header.e_phentsize == sizeof(Elf64_Phdr), "the program headers have an unknown size");
  require(header.e_phnum >= 2 && header.e_phnum <= 16, "not 2 to 16 program headers");
}

// Checks one load against the one before it.
void verifyLoad(const Elf64_Phdr& load, kj::Maybe<const Elf64_Phdr&> before, uint64_t fileSize,
                uint64_t headersEnd) {
  require(load.p_memsz > 0, "an empty load");
  require(load.p_filesz <= load.p_memsz, "a load has more bytes in the file than in memory");
  require(inside(load.p_offset, load.p_filesz, fileSize), "a load reaches beyond the file");
  require(load.p_filesz == 0 || load.p_offset >= headersEnd, "a load overlaps the headers");
  require(load.p_memsz <= kMemoryLimit, "a load is larger than 256 MiB");
  require(load.p_paddr <= UINT64_MAX - load.p_memsz && load.p_vaddr <= UINT64_MAX - load.p_memsz,
          "a load's addresses overflow");
  KJ_IF_MAYBE (previous, before) {
    require(load.p_paddr >= previous->p_paddr + previous->p_memsz,
            "loads overlap or are not in order of physical address");
    require(load.p_offset >= previous->p_offset + previous->p_filesz,
            "loads overlap or are not in order in the file");
  }
}

}  // namespace

KernelFacts verifyKernel(kj::ArrayPtr<const kj::byte> image) {
  require(image.size() >= sizeof(Elf64_Ehdr), "shorter than an ELF header");
  auto header = copyOut<Elf64_Ehdr>(image, 0);
  verifyHeader(header);
  uint64_t headersEnd = sizeof header + uint64_t{header.e_phnum} * sizeof(Elf64_Phdr);
  require(headersEnd <= image.size(), "the program headers are cut off");

  kj::Vector<Elf64_Phdr> loads;
  kj::Maybe<Elf64_Phdr> note;
  for (uint16_t i = 0; i < header.e_phnum; ++i) {
    auto segment = copyOut<Elf64_Phdr>(image, sizeof header + i * sizeof(Elf64_Phdr));
    if (segment.p_type == PT_NOTE) {
      require(note == nullptr, "more than one note segment");
      require(segment.p_filesz <= kNotesLimit, "more than 64 KiB of notes");
      require(inside(segment.p_offset, segment.p_filesz, image.size()),
              "the notes reach beyond the file");
      note = segment;
      continue;
    }
    require(segment.p_type == PT_LOAD, "a program header that is neither a load nor notes");
    kj::Maybe<const Elf64_Phdr&> before;
    if (!loads.empty()) before = loads.back();
    verifyLoad(segment, before, image.size(), headersEnd);
    loads.add(segment);
  }
  // Two headers and one of them notes: there is a load.
  require(!loads.empty(), "no load");
  uint64_t start = loads.front().p_paddr;
  uint64_t end = loads.back().p_paddr + loads.back().p_memsz;
  require(end - start <= kMemoryLimit, "takes more than 256 MiB of memory");

  auto physicallyIn = [&](uint64_t address) {
    for (auto& load : loads) {
      if ((load.p_flags & PF_X) != 0 && address >= load.p_paddr &&
          address - load.p_paddr < load.p_memsz) {
        return true;
      }
    }
    return false;
  };
  auto virtuallyIn = [&](uint64_t address) {
    for (auto& load : loads) {
      if ((load.p_flags & PF_X) != 0 && address >= load.p_vaddr &&
          address - load.p_vaddr < load.p_memsz) {
        return true;
      }
    }
    return false;
  };
  // Linux gives a physical address here, other kernels a virtual one.
  require(physicallyIn(header.e_entry) || virtuallyIn(header.e_entry),
          "the entry is not in an executable load");

  KJ_IF_MAYBE (segment, note) {
    auto notes = readNotes(image.slice(segment->p_offset, segment->p_offset + segment->p_filesz));
    require(notes.entry != nullptr || notes.phys32Entry != nullptr,
            "no Xen entry note: not a kernel for Xen guests");
    KJ_IF_MAYBE (entry, notes.entry) {
      require(virtuallyIn(*entry), "the PV entry is not in an executable load");
    }
    KJ_IF_MAYBE (entry, notes.phys32Entry) {
      require(*entry <= UINT32_MAX && physicallyIn(*entry),
              "the PVH entry is not in an executable load");
    }
    return {start, end, notes.entry != nullptr, notes.phys32Entry != nullptr};
  }
  require(false, "no note segment");
  KJ_UNREACHABLE;
}

}  // namespace bulkhead::hvd
