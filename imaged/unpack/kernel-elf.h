// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>

#include <kj/string.h>

#include "imaged/unpack/kernel-payload.h"

namespace bulkhead {

// Rewrites a kernel's ELF file, which lies somewhere in `file`, into the one form that the
// hypervisor daemon accepts (hvd/elf-verifier.h): ET_EXEC for x86-64; program headers right behind
// the ELF header; loads in the order of their physical addresses, not overlapping, their contents
// in the same order; the Xen notes as the only PT_NOTE, inside a load; nothing else. The result is
// written to `target`, beyond the source. Returns its size. Fails with `invalid` and the rule that
// is broken, `unsupported` for another machine.
uint64_t writeCanonicalElf(int file, FileRange source, uint64_t target);

// The release a Linux kernel calls itself ("6.12.48+deb13-amd64"), from its banner; none where
// there is no banner.
kj::Maybe<kj::String> linuxRelease(int file, uint64_t size);

}  // namespace bulkhead
