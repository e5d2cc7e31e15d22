// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async-io.h>

#include "imaged/store/config.h"
#include "imaged/store/image-source.h"
#include "imaged/store/worker.h"

namespace bulkhead {

// A repository of a registry. Everything but the credentials is borrowed.
class RegistrySource final : public ImageSource {
 public:
  RegistrySource(kj::LowLevelAsyncIoProvider& provider, const ImagedConfig& config,
                 const Reference& reference, schema::Credentials::Reader credentials);

  kj::Promise<void> resolve(schema::ImagePlatform::Reader platform,
                            record::ImageRecord::Builder out) override;
  kj::Promise<bool> allows(schema::Layer::Reader layer, ImageIndex::Standing standing) override;
  kj::Promise<void> fetch(schema::Layer::Reader layer, int into,
                          schema::ProgressSink::Client progress) override;
  ReferenceOrigin origin() const override { return ReferenceOrigin::REGISTRY; }

 private:
  kj::LowLevelAsyncIoProvider& provider;
  const ImagedConfig& config;
  const Reference& reference;
  kj::String name;
  kj::Own<Connection> connection;  // one worker for all of it: it keeps connections and tokens
  capnp::MallocMessageBuilder credentials;

  schema::FetchWorker::Client worker();
  void describeRegistry(schema::Registry::Builder out);
  void describeBlob(schema::Layer::Reader layer, schema::BlobRequest::Builder out);
};

}  // namespace bulkhead
