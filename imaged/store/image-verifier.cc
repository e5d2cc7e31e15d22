// SPDX-License-Identifier: Apache-2.0
#include "imaged/store/image-verifier.h"

#include <kj/debug.h>
#include <kj/map.h>

#include "imaged/store/packed-files.h"
#include "services/runtime/failure.h"
#include "services/runtime/files.h"

namespace bulkhead {

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
    sound = services.directory.readRecord(image->name()) == image->bytes();
    if (!sound) problem = kj::str("the record on the disk is another one than was read");
  } catch (...) {
    problem = kj::str(failureOf(kj::getCaughtExceptionAsKj()).message);
  }
  note(kRecordFile, sound ? Result::INTACT : Result::DAMAGED, problem);
  auto check = [&](kj::StringPtr subject, kj::StringPtr digest,
                   kj::ArrayPtr<const kj::byte> bytes) {
    bool right = Digest::parse(digest, subject).names(bytes);
    note(subject, right ? Result::INTACT : Result::DAMAGED,
         right ? "" : "these are not the bytes of its digest");
  };
  check("manifest", resolved.getManifestDigest(), resolved.getManifest());
  check("configuration", resolved.getConfigDigest(), resolved.getConfig());
}

kj::Promise<ImageVerifier::Result> ImageVerifier::checkFile(kj::StringPtr subject,
                                                            kj::StringPtr digest, uint64_t size,
                                                            kj::Function<kj::AutoCloseFd()> open) {
  kj::AutoCloseFd file;
  try {
    file = open();
  } catch (...) {
    note(subject, Result::MISSING, failureOf(kj::getCaughtExceptionAsKj()).message);
    co_return Result::MISSING;
  }
  auto got = co_await files.digest(kj::mv(file), subject, digest, progress.forwarder());
  if (got.digest == digest && got.size == size) {
    note(subject, Result::INTACT);
    co_return Result::INTACT;
  }
  note(subject, Result::DAMAGED,
       kj::str("it has ", got.size, " bytes with the digest ", got.digest));
  co_return Result::DAMAGED;
}

kj::Promise<ImageVerifier::Result> ImageVerifier::checkAgainstTree(kj::StringPtr name) {
  kj::AutoCloseFd data;
  kj::AutoCloseFd tree;
  try {
    data = services.directory.openImageFile(image->name(), name);
    tree = services.directory.openImageFile(image->name(), kVerityFile);
  } catch (...) {
    note(name, Result::MISSING, failureOf(kj::getCaughtExceptionAsKj()).message);
    co_return Result::MISSING;
  }
  auto record = image->record();
  auto request = files.get().checkTreeRequest();
  request.setData(makeFile(kj::mv(data)));
  request.setTree(makeFile(kj::mv(tree)));
  request.setSalt(record.getVeritySalt());
  request.setRoot(record.getVerityRoot());
  request.setProgress(progress.forwarder());
  auto response = co_await withWorker(request.send().dropPipeline(), name, "unpack");
  bool holds = response.getHolds();
  note(name, holds ? Result::INTACT : Result::DAMAGED,
       holds ? "" : "its blocks are not those of the hash tree");
  co_return holds ? Result::INTACT : Result::DAMAGED;
}

kj::Promise<void> ImageVerifier::checkPackedFile(schema::PackedFile::Reader file) {
  kj::Promise<Result> check =
      file.getDigest().size() == 0
          ? checkAgainstTree(file.getName())
          : checkFile(file.getName(), file.getDigest(), file.getSize(), [this, file]() {
              return services.directory.openImageFile(image->name(), file.getName());
            });
  if (co_await check != Result::INTACT) services.index.markDamaged(image->name());
}

kj::Promise<void> ImageVerifier::checkLayer(schema::Layer::Reader layer) {
  auto subject = kj::str("layer ", layer.getDigest());
  auto digest = Digest::parse(layer.getDigest(), image->name());
  auto result = co_await checkFile(subject, layer.getDigest(), layer.getSize(),
                                   [&]() { return services.directory.openBlob(digest.hex()); });
  if (result == Result::INTACT) co_return;
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
