// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/array.h>

#include "imaged/digest.h"

namespace bulkhead {

struct VerityTree {
  Digest root;
  uint64_t bytes;  // of superblock and tree
};

// Writes the dm-verity hash tree of a file (Linux, admin-guide/device-mapper/verity.rst: version 1,
// SHA-256, data and hash blocks of 4096 bytes) with cryptsetup's superblock in front. `bytes` of
// `data` are covered, a multiple of 4096 above 0; `output` is empty and opened for reading and
// writing; both are borrowed. The file is read on every processor. `salt` has at most 256 bytes.
VerityTree writeVerityTree(int data, uint64_t bytes, kj::ArrayPtr<const kj::byte> salt, int output);

}  // namespace bulkhead
