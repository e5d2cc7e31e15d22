// SPDX-License-Identifier: Apache-2.0
#include "imaged/unpack/verity.h"

#include "imaged/file-bytes.h"
#include "imaged/testing/pack-fixture.h"
#include "imaged/testing/processes.h"

namespace bulkhead {
namespace {

using testing::contentOf;
using testing::memoryFile;

constexpr size_t kBlock = 4096;

struct Made {
  std::string data;
  std::string tree;
  VerityTree result;
};

Made make(size_t blocks) {
  auto bytes = kj::heapArray<kj::byte>(blocks * kBlock);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<kj::byte>(i * i / 4096);
  auto data = memoryFile();
  auto tree = memoryFile();
  writeAt(data, 0, bytes);
  auto salt = Digest::of("salt"_kj.asBytes());
  auto result = writeVerityTree(data, bytes.size(), salt.bytes(), tree);
  return {contentOf(data), contentOf(tree), result};
}

kj::String save(const testing::TemporaryDirectory& directory, kj::StringPtr name,
                const std::string& bytes) {
  auto path = directory.path(name);
  testing::writeFile(path, kj::arrayPtr(bytes.data(), bytes.size()).asBytes());
  return path;
}

// By the tool that defines the format: one block, one hash block, one more, three levels.
TEST(Verity, VeritysetupFindsItValid) {
  testing::TemporaryDirectory directory;
  for (size_t blocks : {size_t{1}, size_t{128}, size_t{129}, size_t{128 * 128 + 1}}) {
    auto made = make(blocks);
    EXPECT_EQ(made.result.bytes, made.tree.size());
    auto data = save(directory, "data", made.data);
    auto tree = save(directory, "tree", made.tree);
    auto root = made.result.root.hex();
    testing::runCommand({"veritysetup", "verify", data, tree, root});

    made.data[made.data.size() - 1] ^= 1;
    save(directory, "data", made.data);
    EXPECT_ANY_THROW(testing::runCommand({"veritysetup", "verify", data, tree, root})) << blocks;
  }
}

TEST(Verity, TheSameBytesGiveTheSameTree) {
  auto one = make(3000);
  auto two = make(3000);
  EXPECT_EQ(one.tree, two.tree);
  EXPECT_EQ(one.result.root, two.result.root);
}

}  // namespace
}  // namespace bulkhead
