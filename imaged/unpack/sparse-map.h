// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>

#include <kj/array.h>
#include <kj/vector.h>

#include "imaged/unpack/tar-header.h"

namespace bulkhead {

// Where the bytes that an archive holds of a sparse file lie in the file; everything between them
// is zeros. In order, not overlapping, inside the file. GNU tar, "Storing Sparse Files", describes
// the four forms it comes in.
class SparseMap {
 public:
  struct Piece {
    uint64_t offset;
    uint64_t length;
  };

  // Each of these returns false where the map breaks a rule: order, overflow, more than 2^18
  // pieces.
  bool add(uint64_t offset, uint64_t length);

  // The pieces of one header or extension block: pairs of fields up to the first empty one.
  bool addFields(kj::ArrayPtr<const char> fields);

  // Form 0.1: "offset,length,offset,length".
  bool addList(kj::ArrayPtr<const char> text);

  // Whether the pieces fit a file of that size, of which the archive holds so many bytes.
  bool fits(uint64_t fileSize, uint64_t stored) const;

  size_t count() const { return pieces.size(); }
  const Piece& operator[](size_t i) const { return pieces[i]; }

 private:
  kj::Vector<Piece> pieces;
  uint64_t end = 0;
  uint64_t held = 0;
};

// GNU's header of a sparse file: what it has instead of ustar's prefix.
struct GnuSparseHeader {
  char head[345];
  char accessed[12];
  char changed[12];
  char volumeOffset[12];
  char longNames[4];
  char unused;
  char pieces[96];
  char isExtended;
  char fileSize[12];
  char padding[17];
};
static_assert(sizeof(GnuSparseHeader) == kTarBlock);

// The block that follows while `isExtended` is set.
struct GnuSparseExtension {
  char pieces[504];
  char isExtended;
  char padding[7];
};
static_assert(sizeof(GnuSparseExtension) == kTarBlock);

}  // namespace bulkhead
