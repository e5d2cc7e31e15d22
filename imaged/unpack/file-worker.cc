// SPDX-License-Identifier: Apache-2.0
#include "imaged/unpack/file-worker.h"

#include <errno.h>
#include <unistd.h>

#include <kj/debug.h>

#include "imaged/digest.h"
#include "imaged/file-bytes.h"
#include "imaged/unpack/disk-extractor.h"
#include "imaged/unpack/image-archive.h"
#include "imaged/unpack/verity.h"
#include "services/runtime/failure.h"
#include "services/runtime/files.h"
#include "services/runtime/progress.h"

namespace bulkhead {
namespace {

constexpr size_t kChunk = 1u << 20;
constexpr uint64_t kMostDocument = 16u << 20;

void syncFile(int fd, kj::StringPtr what) {
  // After a failed sync nobody knows what is on the disk.
  if (fdatasync(fd) == 0) return;
  if (errno == ENOSPC || errno == EDQUOT) fail(FailureCode::EXHAUSTED, what, "the disk is full");
  KJ_FAIL_SYSCALL("fdatasync", errno, what);
}

}  // namespace

kj::Promise<void> FileWorkerImpl::read(ReadContext context) {
  auto params = context.getParams();
  auto file = co_await takeFd(params.getFile(), "file");
  auto most = kj::min(params.getMost(), kMostDocument);
  context.getResults().setBytes(readWholeFile(file, most, "the file"));
}

kj::Promise<void> FileWorkerImpl::copy(CopyContext context) {
  auto params = context.getParams();
  auto digest = kj::str(params.getDigest());
  auto from = co_await takeFd(params.getFrom(), digest);
  auto into = co_await takeFd(params.getInto(), digest);
  auto expected = Digest::parse(digest, "copy");
  Hash hash(expected.algorithm());
  uint64_t size = params.getSize();
  Progress progress(timer, progressSinkOf(params));
  auto buffer = kj::heapArray<kj::byte>(kChunk);
  uint64_t position = 0;
  for (;;) {
    auto want = static_cast<size_t>(kj::min(size - position + 1, uint64_t{kChunk}));
    auto count = readUpTo(from, position, buffer.slice(0, want));
    if (count > size - position) {
      fail(FailureCode::DIGEST_MISMATCH, digest,
           kj::str("the blob has more than the ", size, " bytes that were announced"));
    }
    if (count == 0) break;
    auto bytes = buffer.slice(0, count);
    writeAt(into, position, bytes);
    hash.update(bytes);
    position += count;
    progress.report("fetch", digest, position, size);
    // A timer that is due at once makes the loop look whether the caller is still there.
    co_await timer.afterDelay(0 * kj::NANOSECONDS);
  }
  auto got = hash.finish();
  if (position != size || got != expected) {
    fail(FailureCode::DIGEST_MISMATCH, digest,
         kj::str("the blob has ", position, " bytes with the digest ", got));
  }
  syncFile(into, digest);
}

kj::Promise<void> FileWorkerImpl::sync(SyncContext context) {
  auto file = co_await takeFd(context.getParams().getFile(), "file");
  syncFile(file, "file");
}

kj::Promise<void> FileWorkerImpl::digest(DigestContext context) {
  auto params = context.getParams();
  auto file = co_await takeFd(params.getFile(), "file");
  Progress progress(timer, progressSinkOf(params));
  auto size = sizeOf(file);
  auto buffer = kj::heapArray<kj::byte>(kChunk);
  auto like = params.getLike();
  Hash hash(like.size() == 0 ? DigestAlgorithm::sha256 : Digest::parse(like, "file").algorithm());
  uint64_t position = 0;
  for (;;) {
    auto count = readUpTo(file, position, buffer);
    if (count == 0) break;
    hash.update(buffer.slice(0, count));
    position += count;
    progress.report("verify", "", position, size);
    co_await timer.afterDelay(0 * kj::NANOSECONDS);
  }
  syncFile(file, "file");
  context.getResults().setDigest(hash.finish().toString());
  context.getResults().setSize(position);
}

kj::Promise<void> FileWorkerImpl::readArchive(ReadArchiveContext context) {
  auto params = context.getParams();
  auto archive = co_await takeFd(params.getArchive(), "archive");
  co_await readImageArchive(archive, params.getMembers(), params.getMaxBytes());
}

kj::Promise<void> FileWorkerImpl::dockerManifest(DockerManifestContext context) {
  auto params = context.getParams();
  auto converted = convertDockerManifest(params.getIndex(), params.getMembers());
  context.getResults().setManifest(converted.manifest.asBytes());
  context.getResults().setConfig(converted.config);
  return kj::READY_NOW;
}

kj::Promise<void> FileWorkerImpl::extractDisk(ExtractDiskContext context) {
  auto params = context.getParams();
  auto blob = co_await takeFd(params.getLayer().getBlob(), "layer");
  auto into = co_await takeFd(params.getInto(), "disk");
  Progress progress(timer, progressSinkOf(params));
  auto disk = co_await bulkhead::extractDisk(timer, blob, params.getLayer().getLayer(), into,
                                             params.getMaxBytes(), progress);
  auto results = context.getResults();
  KJ_IF_MAYBE (found, disk) {
    syncFile(into, "disk");
    results.setFound(true);
    results.setBytes(found->bytes);
    results.setFormat(found->format);
  }
}

kj::Promise<void> FileWorkerImpl::checkTree(CheckTreeContext context) {
  auto params = context.getParams();
  auto data = co_await takeFd(params.getData(), "data");
  auto tree = co_await takeFd(params.getTree(), "hash tree");
  Progress progress(timer, progressSinkOf(params));
  VerityCheck check(data, tree, params.getSalt(), params.getRoot());
  while (check.next()) {
    progress.report("verify", "", check.position(), check.size());
    co_await timer.afterDelay(0 * kj::NANOSECONDS);
  }
  context.getResults().setHolds(check.holds());
}

}  // namespace bulkhead
