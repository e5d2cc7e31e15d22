// SPDX-License-Identifier: Apache-2.0
// The worker in its sandbox with enough to do that every thread of it allocates and frees.
#include "imaged/testing/imaged-fixture.h"
#include "imaged/testing/tar-builder.h"

namespace bulkhead::testing {
namespace {

using UnpackProcessTest = ImagedTest;

TEST_F(UnpackProcessTest, ManyFilesOfManySizes) {
  uint32_t state = 1;
  auto noise = kj::heapString(700'000);
  for (auto& c : noise) {
    state = state * 1664525 + 1013904223;
    c = static_cast<char>('a' + (state >> 24) % 16);
  }
  TestImage image;
  for (int layer = 0; layer < 3; ++layer) {
    TarBuilder tar;
    for (size_t i = 0; i < 200; ++i) {
      size_t size = i % 20 == 0 ? noise.size() : i * 97;
      auto start = noise.size() - size;
      tar.file(kj::str("layer", layer, "/", i), kj::str(noise.slice(start)));
    }
    image.layer(tar.finish());
  }
  auto layouts = directory.makeDirectory("layouts");
  auto layout = kj::str(layouts, "/big");
  image.writeLayout(layout, "1");
  startImaged(kj::str("layout-directories = [\"", layouts, "\"]\n"));
  auto packed = pull(kj::str("oci:", layout, ":1"));
  EXPECT_EQ(readRoot(packed, "layer2/180"), noise);
}

}  // namespace
}  // namespace bulkhead::testing
