// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "imaged/unpack/decompressor.h"
#include "imaged/unpack/tar-reader.h"

namespace bulkhead {

// What all streams of one job may cost together; counts down.
struct ByteBudget {
  uint64_t left;
  uint64_t limit;
};

// One layer's uncompressed bytes, checked against both of its digests. Borrows the descriptor and
// the budget.
class LayerStream final : public ByteSource {
 public:
  LayerStream(int fd, schema::Layer::Reader layer, uint number, ByteBudget& budget);

  kj::ArrayPtr<const kj::byte> peek() override;
  void consume(size_t count) override;

  // Reads to the end of the file and fails with `digestMismatch` unless compressed and
  // uncompressed bytes are the ones that were promised. Nothing of the layer counts before.
  void verify();

  // Compressed bytes read so far.
  uint64_t progress() const { return blob.consumed(); }

  // "layer 2 (sha256:...)"
  kj::StringPtr subject() const { return blob.subject(); }

 private:
  Digest expected;
  Digest expectedDiff;
  ByteBudget& budget;
  BlobSource blob;
  kj::Own<Decompressor> decompressor;
  kj::Array<kj::byte> buffer;
  size_t taken = 0;
  size_t filled = 0;
  Hash hash;
};

}  // namespace bulkhead
