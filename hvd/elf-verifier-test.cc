// SPDX-License-Identifier: Apache-2.0
#include "hvd/elf-verifier.h"

#include <elf.h>
#include <gtest/gtest.h>
#include <kj/function.h>
#include <kj/vector.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "hvd/xen-headers.h"
#include "services/runtime/failure.h"

namespace bulkhead::hvd {
namespace {

// A minimal kernel in the canonical form, to be bent in one place by each test.
struct Kernel {
  Elf64_Ehdr header{};
  std::vector<Elf64_Phdr> segments;
  std::string notes;
  std::string body = std::string(0x3000, 'k');

  Kernel() {
    memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_ident[EI_VERSION] = EV_CURRENT;
    header.e_type = ET_EXEC;
    header.e_machine = EM_X86_64;
    header.e_version = EV_CURRENT;
    header.e_entry = 0x1000000;
    header.e_phoff = sizeof header;
    header.e_ehsize = sizeof header;
    header.e_phentsize = sizeof(Elf64_Phdr);
    addNote("Xen", XEN_ELFNOTE_ENTRY, 0xffffffff81000010);
    addNote("Xen", XEN_ELFNOTE_PHYS32_ENTRY, 0x1000020);
    segments = {load(0x1000, 0x1000000, 0x1000, PF_R | PF_X),
                load(0x2000, 0x1400000, 0x800, PF_R | PF_W), note()};
    segments[1].p_memsz = 0x4000;
  }

  static Elf64_Phdr load(uint64_t offset, uint64_t address, uint64_t size, uint32_t flags) {
    Elf64_Phdr segment{};
    segment.p_type = PT_LOAD;
    segment.p_flags = flags;
    segment.p_offset = offset;
    segment.p_paddr = address;
    segment.p_vaddr = 0xffffffff80000000 + address;
    segment.p_filesz = size;
    segment.p_memsz = size;
    return segment;
  }

  Elf64_Phdr note() const {
    Elf64_Phdr segment{};
    segment.p_type = PT_NOTE;
    segment.p_offset = 0x1800;  // inside the first load, as in Linux
    segment.p_filesz = notes.size();
    segment.p_memsz = notes.size();
    return segment;
  }

  void addNote(const std::string& name, uint32_t type, uint64_t value) {
    Elf64_Nhdr note{static_cast<uint32_t>(name.size() + 1), 8, type};
    notes.append(reinterpret_cast<const char*>(&note), sizeof note);
    notes += name;
    notes.append(4 - name.size() % 4, '\0');
    notes.append(reinterpret_cast<const char*>(&value), sizeof value);
  }

  void renewNotes() { segments.back() = note(); }

  std::string bytes() const {
    std::string result = body;
    auto fixed = header;
    if (fixed.e_phnum == 0) fixed.e_phnum = static_cast<uint16_t>(segments.size());
    // Some cases cut the body short; what does not fit is not there.
    auto put = [&](size_t at, const void* data, size_t size) {
      if (at < result.size()) memcpy(&result[at], data, std::min(size, result.size() - at));
    };
    put(0, &fixed, sizeof fixed);
    put(sizeof fixed, segments.data(), segments.size() * sizeof segments[0]);
    if (result.size() >= 0x1800 + notes.size()) {
      memcpy(result.data() + 0x1800, notes.data(), notes.size());
    }
    return result;
  }
};

KernelFacts verify(const std::string& bytes) {
  return verifyKernel(kj::arrayPtr(bytes.data(), bytes.size()).asBytes());
}

TEST(ElfVerifier, AcceptsTheCanonicalForm) {
  auto facts = verify(Kernel().bytes());
  EXPECT_EQ(facts.physicalStart, 0x1000000u);
  EXPECT_EQ(facts.physicalEnd, 0x1404000u);
  EXPECT_TRUE(facts.pv);
  EXPECT_TRUE(facts.pvh);
}

TEST(ElfVerifier, TellsWhatAKernelCanDo) {
  Kernel pv;
  pv.notes.clear();
  pv.addNote("Xen", XEN_ELFNOTE_ENTRY, 0xffffffff81000010);
  pv.addNote("Linux", 257, 1);
  pv.renewNotes();
  auto facts = verify(pv.bytes());
  EXPECT_TRUE(facts.pv);
  EXPECT_FALSE(facts.pvh);
}

struct Refusal {
  const char* rule;
  void (*bend)(Kernel&);
};

class ElfVerifierRefuses : public testing::TestWithParam<Refusal> {};

TEST_P(ElfVerifierRefuses, NamesTheRule) {
  Kernel kernel;
  GetParam().bend(kernel);
  try {
    verify(kernel.bytes());
    ADD_FAILURE() << "accepted";
  } catch (...) {
    auto failure = failureOf(kj::getCaughtExceptionAsKj());
    EXPECT_EQ(failure.code, FailureCode::INVALID);
    EXPECT_NE(std::string(failure.message.cStr()).find(GetParam().rule), std::string::npos)
        << failure.message.cStr();
  }
}

const Refusal kRefusals[] = {
    {"shorter than an ELF header",
     [](Kernel& k) {
       k.body.clear();
       k.body.resize(10);
       k.segments.clear();
       k.notes.clear();
     }},
    {"not an ELF file", [](Kernel& k) { k.header.e_ident[0] = 0; }},
    {"not a 64-bit", [](Kernel& k) { k.header.e_ident[EI_CLASS] = ELFCLASS32; }},
    {"not a little-endian", [](Kernel& k) { k.header.e_ident[EI_DATA] = ELFDATA2MSB; }},
    {"not ELF version 1", [](Kernel& k) { k.header.e_version = 2; }},
    {"not for x86-64", [](Kernel& k) { k.header.e_machine = EM_AARCH64; }},
    {"not an executable", [](Kernel& k) { k.header.e_type = ET_DYN; }},
    {"not 64 bytes long", [](Kernel& k) { k.header.e_ehsize = 128; }},
    {"has section headers", [](Kernel& k) { k.header.e_shnum = 1; }},
    {"has section headers", [](Kernel& k) { k.header.e_shoff = 0x1000; }},
    {"not directly behind", [](Kernel& k) { k.header.e_phoff = 128; }},
    {"an unknown size", [](Kernel& k) { k.header.e_phentsize = 64; }},
    {"not 2 to 16", [](Kernel& k) { k.header.e_phnum = 1; }},
    {"not 2 to 16", [](Kernel& k) { k.header.e_phnum = 17; }},
    {"neither a load nor notes", [](Kernel& k) { k.segments[1].p_type = PT_INTERP; }},
    {"more bytes in the file than in memory", [](Kernel& k) { k.segments[1].p_memsz = 1; }},
    {"an empty load", [](Kernel& k) { k.segments[1].p_memsz = k.segments[1].p_filesz = 0; }},
    {"reaches beyond the file", [](Kernel& k) { k.segments[1].p_offset = 0x2fff; }},
    {"reaches beyond the file", [](Kernel& k) { k.segments[1].p_offset = UINT64_MAX - 4; }},
    {"overlaps the headers", [](Kernel& k) { k.segments[0].p_offset = 0; }},
    {"larger than 256 MiB", [](Kernel& k) { k.segments[1].p_memsz = 300u << 20; }},
    {"addresses overflow", [](Kernel& k) { k.segments[1].p_paddr = UINT64_MAX - 10; }},
    {"order of physical address", [](Kernel& k) { k.segments[1].p_paddr = 0x1000800; }},
    {"order of physical address", [](Kernel& k) { k.segments[1].p_paddr = 0x100000; }},
    {"not in order in the file", [](Kernel& k) { k.segments[1].p_offset = 0x1800; }},
    {"takes more than 256 MiB", [](Kernel& k) { k.segments[1].p_paddr = 0x20000000; }},
    {"the entry is not in", [](Kernel& k) { k.header.e_entry = 0x1400000; }},
    {"the entry is not in", [](Kernel& k) { k.header.e_entry = 0; }},
    {"no note segment", [](Kernel& k) { k.segments.pop_back(); }},
    {"more than one note segment", [](Kernel& k) { k.segments.push_back(k.segments[2]); }},
    {"reach beyond the file", [](Kernel& k) { k.segments[2].p_offset = 0x2fff; }},
    {"more than 64 KiB of notes", [](Kernel& k) { k.segments[2].p_filesz = 65537; }},
    {"a note is cut off", [](Kernel& k) { k.segments[2].p_filesz = 8; }},
    {"a note's name is cut off", [](Kernel& k) { k.segments[2].p_filesz = 14; }},
    {"a note's value is cut off", [](Kernel& k) { k.segments[2].p_filesz = 20; }},
    {"appears twice",
     [](Kernel& k) {
       k.addNote("Xen", XEN_ELFNOTE_ENTRY, 1);
       k.renewNotes();
     }},
    {"an unknown Xen note",
     [](Kernel& k) {
       k.addNote("Xen", 4000, 1);
       k.renewNotes();
     }},
    {"too many notes",
     [](Kernel& k) {
       for (int i = 0; i < 65; ++i) k.addNote("Li", 1, 1);
       k.renewNotes();
     }},
    {"no Xen entry note",
     [](Kernel& k) {
       k.notes.clear();
       k.addNote("Linux", 1, 1);
       k.renewNotes();
     }},
    {"PV entry",
     [](Kernel& k) {
       k.notes.clear();
       k.addNote("Xen", XEN_ELFNOTE_ENTRY, 1);
       k.renewNotes();
     }},
    {"PVH entry",
     [](Kernel& k) {
       k.notes.clear();
       k.addNote("Xen", XEN_ELFNOTE_PHYS32_ENTRY, 0x1400000);
       k.renewNotes();
     }},
    {"PVH entry",
     [](Kernel& k) {
       k.notes.clear();
       k.addNote("Xen", XEN_ELFNOTE_PHYS32_ENTRY, 0x101000020);
       k.renewNotes();
     }},
};

INSTANTIATE_TEST_SUITE_P(Rules, ElfVerifierRefuses, testing::ValuesIn(kRefusals));

TEST(ElfVerifier, RefusesEveryTruncation) {
  auto whole = Kernel().bytes();
  for (size_t size = 0; size < 0x2800; size += size < 0x200 ? 1 : 37) {
    EXPECT_ANY_THROW(verify(whole.substr(0, size))) << size;
  }
}

TEST(ElfVerifier, SurvivesEveryFlippedBit) {
  auto whole = Kernel().bytes();
  for (size_t at = 0; at < 64 + 3 * 56; ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      auto bent = whole;
      bent[at] = static_cast<char>(bent[at] ^ (1 << bit));
      try {
        verify(bent);
      } catch (...) {
        EXPECT_EQ(failureOf(kj::getCaughtExceptionAsKj()).code, FailureCode::INVALID);
      }
    }
  }
}

}  // namespace
}  // namespace bulkhead::hvd
