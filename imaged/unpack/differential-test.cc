// SPDX-License-Identifier: Apache-2.0
// The tree in our image is the one that umoci unpacks as root: names, types, modes, owners, times,
// attributes, links, contents.
#include <unistd.h>

#include <kj/debug.h>

#include "imaged/testing/processes.h"
#include "imaged/testing/random-layers.h"
#include "imaged/testing/reference-unpacker.h"
#include "imaged/testing/tar-builder.h"

namespace bulkhead::testing {
namespace {

constexpr uint32_t kStacksPerTest = 50;

class RandomStacks : public ReferenceTest, public ::testing::WithParamInterface<uint32_t> {};

TEST_P(RandomStacks, AreTheReferenceUnpackersTree) {
  for (uint32_t i = 0; i < kStacksPerTest; ++i) {
    uint32_t seed = GetParam() * kStacksPerTest + i;
    auto layers = makeRandomLayers(seed);
    auto found = difference(layers.tars);
    ASSERT_EQ(found, "") << "seed " << seed << "\n" << kj::strArray(layers.steps, "\n").cStr();
  }
}

// 1000 stacks.
INSTANTIATE_TEST_SUITE_P(Seeds, RandomStacks, ::testing::Range(0u, 20u));

using RealTrees = ReferenceTest;

// What is installed here: packages' files with their modes, owners and hard links.
TEST_F(RealTrees, ADebianTreeAndALayerAboveIt) {
  bounds = {uint64_t{1} << 30, 1'000'000};
  auto file = directory.path("tree.tar");
  runCommand({"tar",
              "-C",
              "/",
              "--numeric-owner",
              "--xattrs",
              "--xattrs-include=*",
              "--format=pax",
              "-cf",
              file,
              "--no-recursion",
              ".",
              "usr",
              "usr/lib",
              "var",
              "var/lib",
              "--recursion",
              "etc",
              "usr/sbin",
              "usr/lib/git-core",
              "var/lib/dpkg"});
  kj::Vector<kj::Array<kj::byte>> layers;
  layers.add(readFile(file));
  layers.add(TarBuilder()
                 .directory("etc/")
                 .file("etc/.wh.passwd", "")
                 .file("etc/hostname", "other\n")
                 .directory("usr/lib/git-core/")
                 .file("usr/lib/git-core/.wh..wh..opq", "")
                 .file("usr/lib/git-core/git", "#!/bin/sh\n", 0755)
                 .hardLink("usr/lib/link", "etc/hostname")
                 .finish());
  EXPECT_EQ(difference(layers), "");
}

}  // namespace
}  // namespace bulkhead::testing
