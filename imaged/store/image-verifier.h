// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "imaged/store/image-capability.h"
#include "services/runtime/progress.h"

namespace bulkhead {

// Reads everything the store has of an image and compares it with what was recorded. What is
// damaged is marked so in the index.
class ImageVerifier {
 public:
  // Services are borrowed; `sink` may be null.
  ImageVerifier(ImageServices services, kj::Own<StoredImage> image,
                kj::Maybe<schema::ProgressSink::Client> sink);

  struct Check {
    kj::String subject;
    schema::VerifyReport::Result result;
    kj::String problem;
  };
  kj::Promise<kj::Vector<Check>> run();

 private:
  ImageServices services;
  kj::Own<StoredImage> image;
  Progress progress;
  FileWorkerProcess files;
  kj::Vector<Check> checks;

  using Result = schema::VerifyReport::Result;
  void note(kj::StringPtr subject, Result result, kj::StringPtr problem = "");
  void checkDocuments();
  kj::Promise<void> checkPackedFile(schema::PackedFile::Reader file);
  kj::Promise<Result> checkAgainstTree(kj::StringPtr name);
  kj::Promise<void> checkLayer(schema::Layer::Reader layer);
  kj::Promise<Result> checkFile(kj::StringPtr subject, kj::StringPtr digest, uint64_t size,
                                kj::Function<kj::AutoCloseFd()> open);
};

}  // namespace bulkhead
