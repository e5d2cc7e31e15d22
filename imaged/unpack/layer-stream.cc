// SPDX-License-Identifier: Apache-2.0
#include "imaged/unpack/layer-stream.h"

#include <kj/debug.h>

#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

// Small enough for the second processor's cache, large enough that handing over costs nothing.
constexpr size_t kChunk = 256u << 10;
// What one of the threads may run ahead of another.
constexpr uint kChunks = 64;

}  // namespace

kj::String LayerStream::nameOf(schema::Layer::Reader layer, uint number) {
  return kj::str("layer ", number, " (", printable(layer.getDigest(), 80), ")");
}

LayerStream::LayerStream(BlobFile file, schema::Layer::Reader layer, uint number,
                         ByteBudget& budget)
    : expected(Digest::parse(layer.getDiffId(), nameOf(layer, number))),
      budget(budget),
      blob(file, layer.getSize(), nameOf(layer, number)),
      decompressor(makeDecompressor(layer.getCompression(), blob)),
      queue(kChunk, kChunks) {
  // A thread that runs already must not wait for one that could not be started.
  KJ_ON_SCOPE_FAILURE(queue.abandon());
  decompressing = kj::heap<kj::Thread>([this]() { decompress(); });
  hashing = kj::heap<kj::Thread>([this]() { hash(); });
}

LayerStream::~LayerStream() noexcept(false) {
  queue.abandon();
  // The threads end with their owners, before anything they use.
}

void LayerStream::decompress() {
  auto error = kj::runCatchingExceptions([this]() {
    for (;;) {
      KJ_IF_MAYBE (chunk, queue.claim()) {
        size_t filled = fill(*chunk);
        if (filled == 0) break;
        queue.publish(filled);
      } else {
        return;
      }
    }
    // Before the readers learn of the end, so that they learn of an error here instead.
    blob.finish();
  });
  queue.end(kj::mv(error));
}

size_t LayerStream::fill(kj::ArrayPtr<kj::byte> chunk) {
  size_t filled = 0;
  while (filled < chunk.size()) {
    size_t count = decompressor->read(chunk.slice(filled, chunk.size()));
    if (count == 0) break;
    filled += count;
    if (count > budget.left) {
      fail(FailureCode::EXHAUSTED, subject(),
           kj::str("the layers hold more than ", budget.limit, " bytes"),
           "raise max-image-bytes if the image is really that large");
    }
    budget.left -= count;
  }
  return filled;
}

void LayerStream::hash() {
  // An error is the parser's to report.
  kj::runCatchingExceptions([this]() {
    Hash sum(expected.algorithm());
    for (;;) {
      auto bytes = queue.next(ChunkQueue::hasher);
      if (bytes.size() == 0) break;
      sum.update(bytes);
    }
    got = sum.finish();
  });
}

kj::ArrayPtr<const kj::byte> LayerStream::peek() {
  if (current.size() == 0) current = queue.next(ChunkQueue::parser);
  return current;
}

void LayerStream::consume(size_t count) {
  KJ_REQUIRE(count <= current.size());
  current = current.slice(count, current.size());
}

void LayerStream::verify() {
  for (;;) {
    auto rest = peek();
    if (rest.size() == 0) break;
    consume(rest.size());
  }
  decompressing = nullptr;
  hashing = nullptr;
  const auto& digest = KJ_ASSERT_NONNULL(got);
  if (digest != expected) {
    fail(FailureCode::DIGEST_MISMATCH, subject(),
         kj::str("the uncompressed digest is ", digest, ", the configuration says ", expected));
  }
}

}  // namespace bulkhead
