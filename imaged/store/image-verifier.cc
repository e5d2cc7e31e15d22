// SPDX-License-Identifier: Apache-2.0
#include "imaged/store/image-verifier.h"

#include <kj/debug.h>
#include <kj/map.h>

#include "imaged/read-file.h"
#include "imaged/store/packed-files.h"
#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

constexpr size_t kMostRecord = 64u << 20;

}  // namespace

ImageVerifier::ImageVerifier(ImageServices services, kj::Own<StoredImage> imageParam,
                             kj::Maybe<schema::ProgressSink::Client> sink)
    : services(services),
      image(kj::mv(imageParam)),
      progress(services.timer, kj::mv(sink)),
      files(services.provider, services.timer) {}

void ImageVerifier::note(kj::StringPtr subject, Result result, kj::StringPtr problem) {
  checks.add(Check{kj::str(subject), result, kj::str(problem)});
}

// The record is in memory as it was read or written; what lies on the disk must still be that.
void ImageVerifier::checkDocuments() {
  auto resolved = image->resolved();
  bool sound = false;
  kj::String problem;
  try {
    auto bytes = readWholeFile(services.directory.openImageFile(image->name(), "record"),
                               kMostRecord, "record");
    sound = bytes == image->bytes();
    if (!sound) problem = kj::str("the record on the disk is another one than was read");
  } catch (...) {
    problem = kj::str(failureOf(kj::getCaughtExceptionAsKj()).message);
  }
  note("record", sound ? Result::INTACT : Result::DAMAGED, problem);
  auto check = [&](kj::StringPtr subject, kj::StringPtr digest,
                   kj::ArrayPtr<const kj::byte> bytes) {
    bool right = Digest::parse(digest, subject).names(bytes);
    note(subject, right ? Result::INTACT : Result::DAMAGED,
         right ? "" : "these are not the bytes of its digest");
  };
  check("manifest", resolved.getManifestDigest(), resolved.getManifest());
  check("configuration", resolved.getConfigDigest(), resolved.getConfig());
}

kj::Promise<ImageVerifier::Result> ImageVerifier::compare(kj::AutoCloseFd file,
                                                          kj::StringPtr subject,
                                                          kj::StringPtr digest, uint64_t size) {
  auto got = co_await files.digest(kj::mv(file), subject, digest, progress.forwarder());
  bool right = got.digest == digest && got.size == size;
  note(subject, right ? Result::INTACT : Result::DAMAGED,
       right ? kj::String() : kj::str("it has ", got.size, " bytes with the digest ", got.digest));
  co_return right ? Result::INTACT : Result::DAMAGED;
}

kj::Promise<void> ImageVerifier::checkPackedFile(schema::PackedFile::Reader file) {
  kj::Maybe<kj::AutoCloseFd> opened;
  try {
    opened = services.directory.openImageFile(image->name(), file.getName());
  } catch (...) {
    note(file.getName(), Result::MISSING, failureOf(kj::getCaughtExceptionAsKj()).message);
  }
  KJ_IF_MAYBE (fd, opened) {
    auto result = co_await compare(kj::mv(*fd), file.getName(), file.getDigest(), file.getSize());
    if (result == Result::INTACT) co_return;
  }
  services.index.markDamaged(image->name());
}

kj::Promise<void> ImageVerifier::checkLayer(schema::Layer::Reader layer) {
  auto subject = kj::str("layer ", layer.getDigest());
  auto digest = Digest::parse(layer.getDigest(), image->name());
  kj::Maybe<kj::AutoCloseFd> opened;
  try {
    opened = services.directory.openBlob(digest.hex());
  } catch (...) {
    note(subject, Result::MISSING, failureOf(kj::getCaughtExceptionAsKj()).message);
  }
  KJ_IF_MAYBE (fd, opened) {
    auto result = co_await compare(kj::mv(*fd), subject, layer.getDigest(), layer.getSize());
    if (result == Result::INTACT) co_return;
  }
  services.index.markBlobDamaged(digest);
  services.index.markDamaged(image->name());
}

kj::Promise<kj::Vector<ImageVerifier::Check>> ImageVerifier::run() {
  checkDocuments();
  auto packed = image->record().getFiles();
  for (auto file : packed) co_await checkPackedFile(file);
  if (packed.size() == 0) {
    for (auto name : packedFiles(image->resolved().getType())) {
      note(name, Result::UNKNOWN, "packed by an older version, which recorded no digest");
    }
  }
  kj::HashSet<kj::StringPtr> seen;
  for (auto layer : image->resolved().getLayers()) {
    if (seen.contains(layer.getDigest())) continue;
    seen.insert(layer.getDigest());
    co_await checkLayer(layer);
  }
  for (const auto& check : checks) {
    if (check.result == Result::DAMAGED) services.index.markDamaged(image->name());
  }
  co_return kj::mv(checks);
}

}  // namespace bulkhead
