// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/timer.h>

#include "schemas/image-files.capnp.h"

namespace bulkhead {

// Single files for imaged, in a process that may block.
class FileWorkerImpl final : public schema::FileWorker::Server {
 public:
  explicit FileWorkerImpl(kj::Timer& timer) : timer(timer) {}

  kj::Promise<void> read(ReadContext context) override;
  kj::Promise<void> copy(CopyContext context) override;
  kj::Promise<void> sync(SyncContext context) override;
  kj::Promise<void> digest(DigestContext context) override;
  kj::Promise<void> readArchive(ReadArchiveContext context) override;
  kj::Promise<void> dockerManifest(DockerManifestContext context) override;
  kj::Promise<void> extractDisk(ExtractDiskContext context) override;
  kj::Promise<void> checkTree(CheckTreeContext context) override;

 private:
  kj::Timer& timer;
};

}  // namespace bulkhead
