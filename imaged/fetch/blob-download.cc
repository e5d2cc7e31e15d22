// SPDX-License-Identifier: Apache-2.0
#include "imaged/fetch/blob-download.h"

#include "imaged/file-bytes.h"
#include "services/runtime/failure.h"

namespace bulkhead {

BlobDownload::BlobDownload(Digest digest, uint64_t size, int fd, Progress& progress)
    : expected(digest),
      total(size),
      fd(fd),
      progress(progress),
      subject(digest.toString()),
      hash(digest.algorithm()) {}

void BlobDownload::take(long status, kj::ArrayPtr<const kj::byte> bytes) {
  if (fresh) {
    ++answers;
    if (status == 200) {
      hash.reset();
      next = 0;
      answers = 1;
    }
    fresh = false;
  }
  if (bytes.size() > total - next) {
    fail(FailureCode::DIGEST_MISMATCH, subject,
         kj::str("the registry sends more than the ", total, " bytes that were announced"));
  }
  writeAt(fd, next, bytes);
  hash.update(bytes);
  next += bytes.size();
  progress.report("fetch", subject, next, total);
}

bool BlobDownload::complete() {
  if (next != total) {
    fail(FailureCode::DIGEST_MISMATCH, subject,
         kj::str("the registry sends ", next, " bytes; ", total, " were announced"));
  }
  auto got = hash.finish();
  if (got == expected) return true;
  if (answers < 2 || restart == Restart::used) {
    fail(FailureCode::DIGEST_MISMATCH, subject, kj::str("the bytes sent have the digest ", got));
  }
  restart = Restart::used;
  next = 0;
  answers = 0;
  return false;
}

}  // namespace bulkhead
