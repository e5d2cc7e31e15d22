// SPDX-License-Identifier: Apache-2.0
#include "imaged/store/image-capability.h"

#include <capnp/schema.h>
#include <kj/debug.h>

#include "imaged/store/image-verifier.h"
#include "imaged/store/packed-files.h"
#include "services/runtime/failure.h"
#include "services/runtime/files.h"

namespace bulkhead {
namespace {

kj::StringPtr typeName(schema::ImageType type) {
  auto number = static_cast<uint>(type);
  auto names = capnp::Schema::from<schema::ImageType>().getEnumerants();
  return number < names.size() ? names[number].getProto().getName() : "unknown"_kj;
}

kj::StringPtr compressionName(schema::Layer::Compression compression) {
  switch (compression) {
    case schema::Layer::Compression::NONE:
      return "none";
    case schema::Layer::Compression::GZIP:
      return "gzip";
    case schema::Layer::Compression::ZSTD:
      return "zstd";
  }
  return "unknown";
}

}  // namespace

schema::File::Client fileFor(int fd) { return makeFile(duplicate(fd)); }

void writeInfo(const ImageIndex& index, const ImageIndex::Named& named,
               schema::ImageInfo::Builder out) {
  auto record = named.image->record();
  auto resolved = record.getResolved();
  auto digest = Digest::parse(resolved.getManifestDigest(), named.reference);
  // An image that no name leads to any more has its digest only.
  out.setReference(named.reference.size() == 0
                       ? digest.toString()
                       : Reference::parse(named.reference, "").canonicalWith(digest));
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
  auto size = index.sizeOf(named.image->name());
  out.setStoredBytes(size.packed + size.layers);
  out.setSharedBytes(size.shared);
  out.setLastUsedUnixSeconds(index.lastUse(named.image->name()));
  out.setHolders(index.holders(named.image->name()));
}

ImageImpl::ImageImpl(ImageServices services, ImageIndex::Named namedParam)
    : services(services), named(kj::mv(namedParam)) {
  auto files = packedFiles(type());
  if (files.size() == 0) {
    fail(FailureCode::UNSUPPORTED, reference(), "this build does not know that type of image");
  }
  main = services.directory.openImageFile(name(), files[0]);
  if (type() == schema::ImageType::KERNEL) {
    addons = services.directory.openImageFile(name(), kAddonsFile);
    boot = services.directory.openImageFile(name(), kBootFile);
  }
  services.index.hold(name());
}

ImageImpl::~ImageImpl() noexcept(false) { services.index.release(name()); }

void ImageImpl::require(schema::ImageType wanted) const {
  if (type() == wanted) return;
  fail(FailureCode::INVALID, reference(),
       kj::str("its type is ", typeName(type()), ", not ", typeName(wanted)),
       kj::str("its manifest must carry org.bulkhead.image.type=", typeName(wanted)));
}

kj::Promise<void> ImageImpl::info(InfoContext context) {
  writeInfo(services.index, named, context.getResults().initInfo());
  return kj::READY_NOW;
}

kj::Promise<void> ImageImpl::config(ConfigContext context) {
  require(schema::ImageType::CONTAINER);
  context.getResults().setConfig(named.image->resolved().getContainer());
  return kj::READY_NOW;
}

kj::Promise<void> ImageImpl::rootFileSystem(RootFileSystemContext context) {
  require(schema::ImageType::CONTAINER);
  auto results = context.getResults();
  results.setFile(fileFor(main));
  results.setFormat(schema::Image::Format::SQUASHFS);
  return kj::READY_NOW;
}

kj::Promise<void> ImageImpl::blockImage(BlockImageContext context) {
  require(schema::ImageType::DISK);
  auto results = context.getResults();
  results.setFile(fileFor(main));
  results.setFormat(named.image->record().getDiskFormat());
  return kj::READY_NOW;
}

kj::Promise<void> ImageImpl::verityTree(VerityTreeContext context) {
  require(schema::ImageType::CONTAINER);
  auto record = named.image->record();
  if (record.getVerityRoot().size() == 0) {
    fail(FailureCode::NOT_FOUND, reference(), "the image was packed without a hash tree",
         "remove it and pull it again");
  }
  auto results = context.getResults();
  results.setTree(makeFile(services.directory.openImageFile(name(), kVerityFile)));
  results.setRootHash(record.getVerityRoot());
  results.setSalt(record.getVeritySalt());
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

kj::Promise<void> ImageImpl::details(DetailsContext context) {
  auto record = named.image->record();
  auto resolved = record.getResolved();
  auto out = context.getResults().initDetails();
  out.setConfigDigest(resolved.getConfigDigest());
  auto from = resolved.getLayers();
  auto to = out.initLayers(from.size());
  for (uint i = 0; i < from.size(); ++i) {
    to[i].setDigest(from[i].getDigest());
    to[i].setSize(from[i].getSize());
    to[i].setDiffId(from[i].getDiffId());
    to[i].setCompression(compressionName(from[i].getCompression()));
    to[i].setStored(services.index.hasBlob(Digest::parse(from[i].getDigest(), reference())));
  }
  out.setEntries(record.getEntries());
  out.setKernelVersion(record.getKernelVersion());
  out.setDiskFormat(record.getDiskFormat());
  auto verdict = resolved.getSignature();
  auto signature = out.initSignature();
  signature.setKind(verdict.getKind() == schema::SignatureVerdict::Kind::VERIFIED
                        ? schema::ImageSignature::Kind::VERIFIED
                        : schema::ImageSignature::Kind::UNCHECKED);
  signature.setKeyFingerprint(verdict.getKeyFingerprint());
  signature.setSignedDigest(verdict.getSignedDigest());
  signature.setIdentity(verdict.getIdentity());
  out.setPacked(record.getFiles());
  out.setPackedUnixSeconds(record.getPackedUnixSeconds());
  return kj::READY_NOW;
}

kj::Promise<void> ImageImpl::layer(LayerContext context) {
  auto layers = named.image->resolved().getLayers();
  auto number = context.getParams().getNumber();
  if (number >= layers.size()) {
    fail(FailureCode::NOT_FOUND, reference(), kj::str("there is no layer ", number));
  }
  auto digest = Digest::parse(layers[number].getDigest(), reference());
  if (!services.index.hasBlob(digest)) {
    fail(FailureCode::NOT_FOUND, digest.toString(), "the store does not have the layer as it came",
         "pull the image again");
  }
  context.getResults().setFile(makeFile(services.directory.openBlob(digest.hex())));
  return kj::READY_NOW;
}

kj::Promise<void> ImageImpl::verify(VerifyContext context) {
  auto params = context.getParams();
  // It may have been published anew since.
  auto image = KJ_ASSERT_NONNULL(services.index.findImage(name()), "a held image is gone");
  ImageVerifier verifier(services, kj::mv(image), progressSinkOf(params));
  auto checks = co_await verifier.run();
  auto out = context.getResults().initReport().initChecks(static_cast<uint>(checks.size()));
  for (uint i = 0; i < out.size(); ++i) {
    out[i].setSubject(checks[i].subject);
    out[i].setResult(checks[i].result);
    out[i].setProblem(checks[i].problem);
  }
}

}  // namespace bulkhead
