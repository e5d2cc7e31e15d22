// SPDX-License-Identifier: Apache-2.0
#include "imaged/unpack/layer-stream.h"

#include <kj/debug.h>

#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

constexpr size_t kBuffer = 256u << 10;

kj::String nameOf(schema::Layer::Reader layer, uint number) {
  return kj::str("layer ", number, " (", printable(layer.getDigest(), 80), ")");
}

}  // namespace

LayerStream::LayerStream(int fd, schema::Layer::Reader layer, uint number, ByteBudget& budget)
    : expected(Digest::parse(layer.getDigest(), nameOf(layer, number))),
      expectedDiff(Digest::parse(layer.getDiffId(), nameOf(layer, number))),
      budget(budget),
      blob(fd, layer.getSize(), nameOf(layer, number), expected.algorithm()),
      decompressor(makeDecompressor(layer.getCompression(), blob)),
      buffer(kj::heapArray<kj::byte>(kBuffer)),
      hash(expectedDiff.algorithm()) {}

kj::ArrayPtr<const kj::byte> LayerStream::peek() {
  if (taken == filled) {
    taken = 0;
    filled = decompressor->read(buffer);
    if (filled > budget.left) {
      fail(FailureCode::EXHAUSTED, subject(),
           kj::str("the layers hold more than ", budget.limit, " bytes"),
           "raise max-image-bytes if the image is really that large");
    }
    budget.left -= filled;
    hash.update(buffer.slice(0, filled));
  }
  return buffer.slice(taken, filled);
}

void LayerStream::consume(size_t count) {
  KJ_REQUIRE(count <= filled - taken);
  taken += count;
}

void LayerStream::verify() {
  for (;;) {
    auto rest = peek();
    if (rest.size() == 0) break;
    consume(rest.size());
  }
  auto diff = hash.finish();
  auto digest = blob.finish();
  if (digest != expected) {
    fail(FailureCode::DIGEST_MISMATCH, subject(), kj::str("the blob's digest is ", digest));
  }
  if (diff != expectedDiff) {
    fail(FailureCode::DIGEST_MISMATCH, subject(),
         kj::str("the uncompressed digest is ", diff, ", the configuration says ", expectedDiff));
  }
}

}  // namespace bulkhead
