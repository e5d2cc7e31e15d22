// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/map.h>

#include "imaged/store/image-index.h"
#include "schemas/image.capnp.h"

namespace bulkhead {

// How many `Image`s are held, by the image's name.
struct ImageLeases : public kj::Refcounted {
  kj::HashMap<kj::String, uint> held;
};

// One `Image`. Its files are opened now: they stay readable whatever becomes of the store.
class ImageImpl final : public schema::Image::Server {
 public:
  ImageImpl(StoreDirectory& directory, ImageIndex::Named named, kj::Own<ImageLeases> leases);
  ~ImageImpl() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(ImageImpl);

  kj::Promise<void> info(InfoContext context) override;
  kj::Promise<void> config(ConfigContext context) override;
  kj::Promise<void> rootFileSystem(RootFileSystemContext context) override;
  kj::Promise<void> document(DocumentContext context) override;

  schema::ImageType type() const { return named.image->resolved().getType(); }
  kj::StringPtr reference() const { return named.reference; }
  kj::StringPtr name() const { return named.image->name(); }
  kj::StringPtr kernelVersion() const { return named.image->record().getKernelVersion(); }

  // The packed files: of a container the root file system, of a system image the archive, of a
  // kernel image the kernel. Borrowed.
  int mainFile() const { return main; }

  // Of a kernel image. Borrowed.
  int addonsFile() const { return addons; }
  int bootArchive() const { return boot; }

 private:
  ImageIndex::Named named;
  kj::Own<ImageLeases> leases;
  kj::AutoCloseFd main;
  kj::AutoCloseFd addons;
  kj::AutoCloseFd boot;

  void requireContainer() const;
};

// What is known of an image under one of its names.
void writeInfo(const ImageIndex::Named& named, schema::ImageInfo::Builder out);

// A copy of a descriptor, as a capability.
schema::File::Client fileFor(int fd);

}  // namespace bulkhead
