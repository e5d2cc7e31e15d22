// SPDX-License-Identifier: Apache-2.0
// Archives of every form, laid over each other: the first two bytes say where the second layer
// begins and in what pieces the bytes arrive.
#include <kj/debug.h>

#include "imaged/testing/piece-source.h"
#include "imaged/unpack/image-tree.h"
#include "tests/fuzz/typed-failure.h"

namespace bulkhead::fuzz {
namespace {

// What a sparse file claims to be is bounded by who reads it.
constexpr uint64_t kMostContent = 1u << 20;

void apply(ImageTree& tree, kj::ArrayPtr<const kj::byte> archive, size_t piece) {
  testing::PieceSource source(archive, piece);
  TarReader reader(source, "layer");
  tree.beginLayer("layer");
  for (;;) {
    auto next = reader.next();
    if (next == nullptr) return;
    tree.apply(kj::mv(KJ_ASSERT_NONNULL(next)), reader.count() - 1);
    uint64_t read = 0;
    while (read < kMostContent) {
      size_t count = reader.content().size();
      if (count == 0) break;
      read += count;
    }
  }
}

}  // namespace
}  // namespace bulkhead::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bulkhead;
  if (size < 2) return 0;
  auto input = kj::arrayPtr(data, size);
  fuzz::expectTypedFailure([&]() {
    auto bytes = input.slice(2, size);
    size_t cut = kj::min(bytes.size(), size_t{input[0]} * 512);
    size_t piece = size_t{input[1]} * 8 + 1;
    ImageTree tree(1000, 1u << 20);
    fuzz::apply(tree, bytes.slice(0, cut), piece);
    fuzz::apply(tree, bytes.slice(cut, bytes.size()), piece);
    tree.finish();
  });
  return 0;
}
