// SPDX-License-Identifier: Apache-2.0
#include "imaged/store/image-capability.h"

#include <fcntl.h>

#include <kj/debug.h>

#include "services/runtime/failure.h"
#include "services/runtime/files.h"

namespace bulkhead {

schema::File::Client fileFor(int fd) { return makeFile(duplicate(fd)); }

void writeInfo(const ImageIndex::Named& named, schema::ImageInfo::Builder out) {
  auto record = named.image->record();
  auto resolved = record.getResolved();
  auto reference = Reference::parse(named.reference, "");
  auto digest = Digest::parse(resolved.getManifestDigest(), named.reference);
  out.setReference(reference.canonicalWith(digest));
  out.setManifestDigest(resolved.getManifestDigest());
  out.setType(resolved.getType());
  out.setPlatform(resolved.getPlatform());
  out.setCreatedUnixSeconds(resolved.getCreatedUnixSeconds());
  out.setPulledUnixSeconds(named.pulledUnixSeconds);
  uint64_t compressed = 0;
  for (auto layer : resolved.getLayers()) compressed += layer.getSize();
  out.setCompressedBytes(compressed);
  out.setPackedBytes(record.getPackedBytes());
  out.setLayers(resolved.getLayers().size());
}

ImageImpl::ImageImpl(StoreDirectory& directory, ImageIndex::Named namedParam,
                     kj::Own<ImageLeases> leasesParam)
    : named(kj::mv(namedParam)), leases(kj::mv(leasesParam)) {
  switch (type()) {
    case schema::ImageType::CONTAINER:
      main = directory.openImageFile(name(), "root.squashfs");
      break;
    case schema::ImageType::SYSTEM:
      main = directory.openImageFile(name(), "system.cpio");
      break;
    case schema::ImageType::KERNEL:
      main = directory.openImageFile(name(), "kernel");
      addons = directory.openImageFile(name(), "addons.squashfs");
      boot = directory.openImageFile(name(), "boot.cpio");
      break;
    default:
      fail(FailureCode::UNSUPPORTED, reference(), "this build does not know that type of image");
  }
  ++leases->held.findOrCreate(
      name(), [&]() { return kj::HashMap<kj::String, uint>::Entry{kj::str(name()), 0}; });
}

ImageImpl::~ImageImpl() noexcept(false) {
  KJ_IF_MAYBE (count, leases->held.find(name())) {
    if (--*count == 0) leases->held.erase(name());
  }
}

void ImageImpl::requireContainer() const {
  if (type() == schema::ImageType::CONTAINER) return;
  fail(FailureCode::INVALID, reference(),
       kj::str("this is a ", type() == schema::ImageType::KERNEL ? "kernel" : "system",
               " image, not a container"));
}

kj::Promise<void> ImageImpl::info(InfoContext context) {
  writeInfo(named, context.getResults().initInfo());
  return kj::READY_NOW;
}

kj::Promise<void> ImageImpl::config(ConfigContext context) {
  requireContainer();
  context.getResults().setConfig(named.image->resolved().getContainer());
  return kj::READY_NOW;
}

kj::Promise<void> ImageImpl::rootFileSystem(RootFileSystemContext context) {
  requireContainer();
  auto results = context.getResults();
  results.setFile(fileFor(main));
  results.setFormat(schema::Image::Format::SQUASHFS);
  return kj::READY_NOW;
}

kj::Promise<void> ImageImpl::document(DocumentContext context) {
  auto resolved = named.image->resolved();
  switch (context.getParams().getKind()) {
    case schema::Image::DocumentKind::MANIFEST:
      context.getResults().setBytes(resolved.getManifest());
      return kj::READY_NOW;
    case schema::Image::DocumentKind::CONFIG:
      context.getResults().setBytes(resolved.getConfig());
      return kj::READY_NOW;
  }
  fail(FailureCode::INVALID, reference(), "there is no such document");
}

}  // namespace bulkhead
