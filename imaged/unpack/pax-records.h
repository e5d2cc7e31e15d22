// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>

#include <kj/array.h>
#include <kj/string.h>
#include <kj/vector.h>

#include "imaged/unpack/sparse-map.h"
#include "imaged/unpack/tar-errors.h"
#include "imaged/unpack/tar-reader.h"

namespace bulkhead {

// What a pax extended header says about the member behind it (POSIX.1-2017, pax; GNU tar, "Storing
// Sparse Files"; star's extended attributes).
struct PaxRecords {
  kj::Maybe<kj::String> path;
  kj::Maybe<kj::String> linkPath;
  kj::Maybe<uint64_t> size;
  kj::Maybe<uint64_t> user;
  kj::Maybe<uint64_t> group;
  kj::Maybe<int64_t> modified;
  kj::Vector<ExtendedAttribute> attributes;

  // GNU.sparse.*: `map` in forms 0.0 and 0.1, `major` in form 1.0.
  kj::Maybe<SparseMap> map;
  kj::Maybe<uint64_t> sparseOffset;  // of form 0.0: waits for its length
  kj::Maybe<uint64_t> sparsePieces;
  kj::Maybe<uint64_t> major;
  kj::Maybe<uint64_t> minor;
  kj::Maybe<kj::String> sparseName;
  kj::Maybe<uint64_t> fileSize;

  // Whether there is any GNU.sparse record.
  bool isSparse() const {
    return map != nullptr || major != nullptr || minor != nullptr || sparseName != nullptr ||
           fileSize != nullptr || sparsePieces != nullptr || sparseOffset != nullptr;
  }

  // Whether anything in it makes an entry another one.
  bool changesEntries() const {
    return path != nullptr || linkPath != nullptr || size != nullptr || user != nullptr ||
           group != nullptr || modified != nullptr || attributes.size() > 0 || isSparse();
  }
};

// Reads the records of one header. Whatever is malformed, or there twice, is rejected; records
// that do not change what is made of an entry (atime, comment, LIBARCHIVE.*) are passed over.
PaxRecords readPaxRecords(kj::ArrayPtr<const kj::byte> records, const TarErrors& errors);

}  // namespace bulkhead
