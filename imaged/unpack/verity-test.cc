// SPDX-License-Identifier: Apache-2.0
#include "imaged/unpack/verity.h"

#include <unistd.h>

#include <kj/debug.h>

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

// At both ends and beyond each batch that is looked at in one go.
TEST(Verity, ACheckFindsEveryChange) {
  auto salt = Digest::of("salt"_kj.asBytes());
  for (size_t blocks : {size_t{1}, size_t{2}, size_t{129}, size_t{3000}}) {
    auto made = make(blocks);
    auto data = memoryFile();
    auto tree = memoryFile();
    writeAt(data, 0, kj::arrayPtr(made.data.data(), made.data.size()).asBytes());
    writeAt(tree, 0, kj::arrayPtr(made.tree.data(), made.tree.size()).asBytes());
    auto holds = [&](kj::ArrayPtr<const kj::byte> root) {
      VerityCheck check(data, tree, salt.bytes(), root);
      while (check.next()) EXPECT_LE(check.position(), check.size());
      return check.holds();
    };
    auto root = made.result.root.bytes();
    EXPECT_TRUE(holds(root)) << blocks;
    EXPECT_FALSE(holds(salt.bytes())) << blocks;
    auto changed = [&](int file, const std::string& bytes, size_t at) {
      kj::byte other[] = {static_cast<kj::byte>(bytes[at] ^ 1)};
      writeAt(file, at, other);
      bool found = !holds(root);
      writeAt(file, at, kj::arrayPtr(bytes.data(), bytes.size()).slice(at, at + 1).asBytes());
      return found;
    };
    for (size_t at : {size_t{0}, made.data.size() / 2, made.data.size() - 1}) {
      EXPECT_TRUE(changed(data, made.data, at)) << blocks << " " << at;
    }
    if (blocks > 1) EXPECT_TRUE(changed(tree, made.tree, made.tree.size() - kBlock)) << blocks;
    EXPECT_TRUE(holds(root));
    // A file that ends early, and one that goes on.
    KJ_SYSCALL(ftruncate(tree, static_cast<off_t>(made.tree.size() + kBlock)));
    EXPECT_FALSE(holds(root));
    KJ_SYSCALL(ftruncate(tree, static_cast<off_t>(made.tree.size())));
    KJ_SYSCALL(ftruncate(data, static_cast<off_t>(made.data.size() - 1)));
    EXPECT_FALSE(holds(root));
    KJ_SYSCALL(ftruncate(data, 0));
    EXPECT_FALSE(holds(root));
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
