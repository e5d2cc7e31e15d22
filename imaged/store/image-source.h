// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async.h>

#include "imaged/store/image-index.h"
#include "schemas/image-worker.capnp.h"

namespace bulkhead {

// Where an image comes from: a registry, a layout, an archive. Dropping it cancels.
class ImageSource {
 public:
  virtual ~ImageSource() noexcept(false) {}

  // Which image it is, for a platform: fills in `resolved`.
  virtual kj::Promise<void> resolve(schema::ImagePlatform::Reader platform,
                                    record::ImageRecord::Builder out) = 0;

  // Whether a layer that the store has already may stand for the source's own. Knowing a digest is
  // no right to the bytes: only what the source would give may be taken from elsewhere.
  virtual kj::Promise<bool> allows(schema::Layer::Reader layer, ImageIndex::Standing standing) = 0;

  // One layer that lies in a file of the store already, verified.
  virtual kj::Maybe<kj::Own<StagedFile>> take(schema::Layer::Reader) { return nullptr; }

  // Brings one layer into an empty file, from its beginning to its end, and verifies it. The file
  // is the caller's until the promise resolves. `progress` is of its compressed bytes, which are in
  // the file when they are reported.
  virtual kj::Promise<void> fetch(schema::Layer::Reader layer, int into,
                                  schema::ProgressSink::Client progress) = 0;

  virtual ReferenceOrigin origin() const = 0;
};

}  // namespace bulkhead
