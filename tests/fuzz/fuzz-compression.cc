// SPDX-License-Identifier: Apache-2.0
// The framing of gzip and zstd: members, frames, windows, trailers. The first byte chooses.
#include "imaged/unpack/decompressor.h"
#include "tests/fuzz/scratch-file.h"
#include "tests/fuzz/typed-failure.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bulkhead;
  // Small input makes a lot of output: nobody reads more of it than a limit allows.
  constexpr size_t kMostOutput = 1u << 20;
  static fuzz::ScratchFile file;
  if (size == 0) return 0;
  auto input = kj::arrayPtr(data, size);
  fuzz::expectTypedFailure([&]() {
    auto bytes = input.slice(1, size);
    BlobSource source({file.holding(bytes)}, bytes.size(), kj::str("layer"));
    auto decompressor = makeDecompressor(
        input[0] % 2 == 0 ? schema::Layer::Compression::GZIP : schema::Layer::Compression::ZSTD,
        source);
    kj::byte out[4096];
    for (size_t made = 0; made < kMostOutput;) {
      size_t count = decompressor->read(out);
      if (count == 0) {
        source.finish();
        return;
      }
      made += count;
    }
  });
  return 0;
}
