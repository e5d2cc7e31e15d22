// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async-io.h>
#include <kj/map.h>

#include "imaged/store/image-source.h"
#include "imaged/store/worker.h"

namespace bulkhead {

// The parts of an archive, once a worker has taken it apart, in files of the store.
struct ArchiveParts : public kj::Refcounted {
  struct Part {
    kj::Own<StagedFile> file;
    uint64_t size = 0;
    kj::Maybe<Digest> digest;  // once it is complete
  };
  kj::HashMap<kj::String, Part> parts;
};

// An image in an archive: a tar of an OCI layout, or of `docker save`. Everything but the archive
// is borrowed.
class ArchiveSource final : public ImageSource {
 public:
  // `archive` is a pipe or a file that yields the archive.
  ArchiveSource(kj::LowLevelAsyncIoProvider& provider, StoreDirectory& directory,
                FileWorkerProcess& files, const Reference& reference, kj::AutoCloseFd archive,
                uint64_t maxBytes);

  kj::Promise<void> resolve(schema::ImagePlatform::Reader platform,
                            record::ImageRecord::Builder out) override;
  kj::Promise<bool> allows(schema::Layer::Reader, ImageIndex::Standing) override { return false; }
  kj::Maybe<kj::Own<StagedFile>> take(schema::Layer::Reader layer) override;
  kj::Promise<void> fetch(schema::Layer::Reader layer, int into,
                          schema::ProgressSink::Client progress) override;
  ReferenceOrigin origin() const override { return ReferenceOrigin::LOCAL; }

 private:
  class Members;

  kj::LowLevelAsyncIoProvider& provider;
  StoreDirectory& directory;
  FileWorkerProcess& files;
  const Reference& reference;
  kj::AutoCloseFd archive;
  uint64_t maxBytes;
  kj::Own<ArchiveParts> content;

  kj::Promise<void> resolveDocker(schema::UnpackWorker::Client worker,
                                  schema::ImagePlatform::Reader platform,
                                  record::ImageRecord::Builder out);
  kj::Promise<kj::Array<kj::byte>> read(kj::StringPtr part, size_t most);
  kj::Promise<kj::Array<kj::byte>> readBlob(const Digest& digest, size_t most);
};

}  // namespace bulkhead
