// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <capnp/capability.h>

#include "imaged/store/image-capability.h"
#include "imaged/store/pull-job.h"
#include "imaged/store/sealed-files.h"
#include "services/runtime/log.h"

namespace bulkhead {

// The bootstrap of imaged.sock.
class ImageStoreImpl final : public schema::ImageStore::Server {
 public:
  // Everything is borrowed and outlives the store.
  ImageStoreImpl(PullServices services, const LayoutRoots& layouts, Log& log);

  kj::Promise<void> pull(PullContext context) override;
  kj::Promise<void> find(FindContext context) override;
  kj::Promise<void> list(ListContext context) override;
  kj::Promise<void> remove(RemoveContext context) override;
  kj::Promise<void> importLayout(ImportLayoutContext context) override;
  kj::Promise<void> bootFiles(BootFilesContext context) override;
  kj::Promise<void> prune(PruneContext context) override;
  kj::Promise<void> lease(LeaseContext context) override;
  kj::Promise<void> keeper(KeeperContext context) override;

 private:
  // Pulls under way, by what they pull; each is held by its callers only.
  struct Running : public kj::Refcounted {
    kj::HashMap<kj::String, PullJob*> jobs;
  };
  class SharedJob;

  PullServices services;
  const LayoutRoots& layouts;
  Log& log;
  kj::Own<Running> running;
  capnp::CapabilityServerSet<schema::Image> images;
  SealedFiles sealedFiles;

  schema::Image::Client imageOf(ImageIndex::Named named);
  schema::Image::Client imageOf(const Reference& reference);
  kj::Promise<ImageImpl*> imageBehind(schema::Image::Client image, schema::ImageType type);
};

}  // namespace bulkhead
