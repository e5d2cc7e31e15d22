// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "imaged/store/image-index.h"
#include "imaged/store/worker.h"
#include "schemas/image.capnp.h"

namespace bulkhead {

// What an `Image` needs from its surroundings; all borrowed.
struct ImageServices {
  kj::LowLevelAsyncIoProvider& provider;
  kj::Timer& timer;
  StoreDirectory& directory;
  ImageIndex& index;
};

// One `Image`. Holds the image in the index, and its files open: they stay readable whatever
// becomes of the store.
class ImageImpl final : public schema::Image::Server {
 public:
  ImageImpl(ImageServices services, ImageIndex::Named named);
  ~ImageImpl() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(ImageImpl);

  kj::Promise<void> info(InfoContext context) override;
  kj::Promise<void> config(ConfigContext context) override;
  kj::Promise<void> rootFileSystem(RootFileSystemContext context) override;
  kj::Promise<void> document(DocumentContext context) override;
  kj::Promise<void> details(DetailsContext context) override;
  kj::Promise<void> verify(VerifyContext context) override;
  kj::Promise<void> layer(LayerContext context) override;
  kj::Promise<void> blockImage(BlockImageContext context) override;
  kj::Promise<void> verityTree(VerityTreeContext context) override;

  // Fails with `invalid` unless it is of that type.
  void require(schema::ImageType wanted) const;

  schema::ImageType type() const { return named.image->resolved().getType(); }
  kj::StringPtr reference() const { return named.reference; }
  kj::StringPtr name() const { return named.image->name(); }
  kj::StringPtr kernelVersion() const { return named.image->record().getKernelVersion(); }

  // The packed files: of a container the root file system, of a system or extension image the
  // archive, of a kernel image the kernel, of a disk image the disk. Borrowed.
  int mainFile() const { return main; }

  // Of a kernel image. Borrowed.
  int addonsFile() const { return addons; }
  int bootArchive() const { return boot; }

 private:
  ImageServices services;
  ImageIndex::Named named;
  kj::AutoCloseFd main;
  kj::AutoCloseFd addons;
  kj::AutoCloseFd boot;
};

// What is known of an image under one of its names.
void writeInfo(const ImageIndex& index, const ImageIndex::Named& named,
               schema::ImageInfo::Builder out);

// A copy of a descriptor, as a capability.
schema::File::Client fileFor(int fd);

}  // namespace bulkhead
