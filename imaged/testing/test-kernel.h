// SPDX-License-Identifier: Apache-2.0
// For tests: the parts of a kernel image, as small as they can be.
#pragma once

#include <kj/array.h>
#include <kj/string.h>

namespace bulkhead::testing {

// An ELF file as a Linux build leaves it: valid, for Xen, and not in the canonical form.
kj::Array<kj::byte> kernelElf(kj::StringPtr release);

// A bzImage around a compressed kernel.
kj::Array<kj::byte> bzImage(kj::ArrayPtr<const kj::byte> payload);

// A squashfs with the directory /modules/RELEASE.
kj::Array<kj::byte> modulesSquashfs(kj::StringPtr release);

}  // namespace bulkhead::testing
