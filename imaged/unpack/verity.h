// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/array.h>
#include <kj/memory.h>

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

// Checks a file against the tree that writeVerityTree made for it: every block against the lowest
// hashes, and the uppermost block against the root. What lies between has to be proven by a digest
// of the tree's file. Everything passed is borrowed.
class VerityCheck {
 public:
  VerityCheck(int data, int tree, kj::ArrayPtr<const kj::byte> salt,
              kj::ArrayPtr<const kj::byte> root);
  ~VerityCheck() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(VerityCheck);

  // Looks at the next 8 MiB. False when the answer is known.
  bool next();

  // Valid when next() was false.
  bool holds() const { return good; }

  uint64_t position() const;
  uint64_t size() const { return bytes; }

 private:
  struct State;

  uint64_t bytes;
  kj::Own<State> state;
  bool good = false;
  uint64_t done = 0;  // hash blocks
};

}  // namespace bulkhead
