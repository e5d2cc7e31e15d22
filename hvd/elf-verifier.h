// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/array.h>

#include <cstdint>

namespace bulkhead::hvd {

// The one form of kernel that hvd hands to the domain builder:
//
//  - ELF64, little endian, x86-64, ET_EXEC, no section headers;
//  - 2 to 16 program headers directly behind the 64-byte ELF header, each PT_LOAD or PT_NOTE;
//  - PT_LOADs in order of physical address and of file offset, overlapping in neither, inside the
//    file, with filesz <= memsz, 256 MiB from the first byte to the last at most;
//  - exactly one PT_NOTE, 64 KiB at most, of well-formed notes, each Xen note at most once, with
//    an entry point for one kind of guest at least (xen/elfnote.h);
//  - every entry point inside an executable PT_LOAD.
//
// Everything else that ELF can say is refused, so that the builder's parser, which runs with all of
// hvd's authority, never meets it.
struct KernelFacts {
  uint64_t physicalStart;  // of the first load
  uint64_t physicalEnd;    // behind the last byte of memory
  bool pv;                 // has XEN_ELFNOTE_ENTRY
  bool pvh;                // has XEN_ELFNOTE_PHYS32_ENTRY
};

// Fails with `invalid` naming the rule that was broken. Reads nothing outside `image`.
KernelFacts verifyKernel(kj::ArrayPtr<const kj::byte> image);

}  // namespace bulkhead::hvd
