// SPDX-License-Identifier: Apache-2.0
// For tests: a stream that is there already.
#pragma once

#include "imaged/unpack/tar-reader.h"

namespace bulkhead::testing {

// Hands borrowed bytes out in pieces, so that every boundary is met.
class PieceSource final : public ByteSource {
 public:
  PieceSource(kj::ArrayPtr<const kj::byte> bytes, size_t piece) : bytes(bytes), piece(piece) {}
  kj::ArrayPtr<const kj::byte> peek() override {
    return bytes.slice(0, kj::min(piece, bytes.size()));
  }
  void consume(size_t count) override { bytes = bytes.slice(count, bytes.size()); }

 private:
  kj::ArrayPtr<const kj::byte> bytes;
  size_t piece;
};

}  // namespace bulkhead::testing
