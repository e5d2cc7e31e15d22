// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async-io.h>

#include "imaged/store/image-source.h"
#include "imaged/store/layout.h"

namespace bulkhead {

// Finds an image's documents by way of an index that lies in a layout, and reads them into
// `resolved`. `document` gives a small blob by its digest, verified. Fails as `ImageStore.pull`.
using DocumentReader =
    kj::Function<kj::Promise<kj::Array<kj::byte>>(const Digest& digest, size_t most)>;
kj::Promise<void> resolveLayout(schema::UnpackWorker::Client worker, kj::Array<kj::byte> index,
                                kj::String tag, schema::ImagePlatform::Reader platform,
                                kj::StringPtr name, DocumentReader document,
                                record::ImageRecord::Builder out);

// A layout directory. Its layers are copied into the store while they are verified, so that nobody
// can change them afterwards. Everything but the layout is borrowed.
class LayoutSource final : public ImageSource {
 public:
  LayoutSource(kj::LowLevelAsyncIoProvider& provider, FileWorkerProcess& files,
               const Reference& reference, Layout layout)
      : provider(provider), files(files), reference(reference), layout(kj::mv(layout)) {}

  kj::Promise<void> resolve(schema::ImagePlatform::Reader platform,
                            record::ImageRecord::Builder out) override;
  kj::Promise<bool> allows(schema::Layer::Reader, ImageIndex::Standing) override { return false; }
  kj::Promise<void> fetch(schema::Layer::Reader layer, int into,
                          schema::ProgressSink::Client progress) override;
  ReferenceOrigin origin() const override { return ReferenceOrigin::LOCAL; }

 private:
  kj::LowLevelAsyncIoProvider& provider;
  FileWorkerProcess& files;
  const Reference& reference;
  Layout layout;
};

}  // namespace bulkhead
