// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/thread.h>

#include "imaged/digest.h"
#include "imaged/unpack/chunk-queue.h"
#include "imaged/unpack/decompressor.h"
#include "imaged/unpack/tar-reader.h"

namespace bulkhead {

// What all streams of one job may cost together; counts down.
struct ByteBudget {
  uint64_t left;
  uint64_t limit;
};

// One layer's uncompressed bytes, checked against their digest. One thread reads and decompresses,
// another hashes what comes out, and whoever holds the object parses. Borrows the descriptors and
// the budget; one stream at a time uses a budget.
class LayerStream final : public ByteSource {
 public:
  LayerStream(BlobFile file, schema::Layer::Reader layer, uint number, ByteBudget& budget);
  ~LayerStream() noexcept(false) override;
  KJ_DISALLOW_COPY_AND_MOVE(LayerStream);

  kj::ArrayPtr<const kj::byte> peek() override;
  void consume(size_t count) override;

  // Reads to the end of the file and fails with `digestMismatch` unless the uncompressed bytes are
  // the ones that were promised. Nothing of the layer counts before.
  void verify();

  // Compressed bytes read so far.
  uint64_t progress() const { return blob.consumed(); }

  // "layer 2 (sha256:...)"
  kj::StringPtr subject() const { return blob.subject(); }
  static kj::String nameOf(schema::Layer::Reader layer, uint number);

 private:
  Digest expected;
  ByteBudget& budget;
  BlobSource blob;
  kj::Own<Decompressor> decompressor;
  ChunkQueue queue;
  kj::ArrayPtr<const kj::byte> current;

  kj::Maybe<Digest> got;  // set by its thread before that ends
  kj::Own<kj::Thread> decompressing;
  kj::Own<kj::Thread> hashing;

  void decompress();
  void hash();
  size_t fill(kj::ArrayPtr<kj::byte> chunk);
};

}  // namespace bulkhead
