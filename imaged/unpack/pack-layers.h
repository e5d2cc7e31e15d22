// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/io.h>

#include "imaged/unpack/tree-writer.h"
#include "schemas/image-worker.capnp.h"

namespace bulkhead {

// One layer's blob and what it should be.
struct PackLayer {
  kj::AutoCloseFd blob;
  kj::Maybe<kj::AutoCloseFd> arrival;  // as in BlobFile
  schema::Layer::Reader layer;
};

struct PackOutcome {
  uint64_t bytes;
  uint64_t entries;
};

struct PackBounds {
  uint64_t bytes;    // of all uncompressed streams together
  uint64_t entries;  // of all layers together
};

// Hears of the work now and then, on the thread that does it. May throw to end it.
class PackObserver {
 public:
  // `done` of `total` bytes of blobs.
  virtual void packing(kj::StringPtr layer, uint64_t done, uint64_t total) = 0;

 protected:
  ~PackObserver() = default;
};

// Merges layers and writes them through `writer`; blocks until that is done. The layers are read
// once, the newest first, so that a file's content can be written as it comes by unless a layer
// above hides it. What can be known only when the whole tree is (the content that only a hard link
// still needs, the layout of an archive) is read a second time. Every read is verified. Fails with
// `invalid`, `unsupported`, `exhausted`, `digestMismatch`.
PackOutcome packLayers(kj::ArrayPtr<PackLayer> layers, TreeWriter& writer, PackBounds bounds,
                       PackObserver& observer);

}  // namespace bulkhead
