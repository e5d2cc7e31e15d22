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

  // One layer, verified and synced. `progress` is of its compressed bytes.
  virtual kj::Promise<kj::Own<StagedFile>> fetch(schema::Layer::Reader layer,
                                                 schema::ProgressSink::Client progress) = 0;

  virtual ReferenceOrigin origin() const = 0;
};

}  // namespace bulkhead
