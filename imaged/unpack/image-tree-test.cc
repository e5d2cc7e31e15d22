// SPDX-License-Identifier: Apache-2.0
#include "imaged/unpack/image-tree.h"

#include <kj/debug.h>

#include "imaged/testing/failures.h"

namespace bulkhead {
namespace {

using testing::failureFrom;
using Type = TarEntry::Type;

// Builds a tree in one line a layer.
class Tree {
 public:
  ImageTree tree{1000};

  Tree& layer() {
    tree.beginLayer("layer");
    member = 0;
    return *this;
  }
  Tree& put(kj::StringPtr path, Type type = Type::file, kj::StringPtr link = "") {
    TarEntry entry;
    entry.path = kj::str(path);
    entry.type = type;
    entry.linkTarget = kj::str(link);
    entry.size = type == Type::file ? 1 : 0;
    entry.mode = 0700;
    tree.apply(kj::mv(entry), member++);
    return *this;
  }
  Tree& dir(kj::StringPtr path) { return put(path, Type::directory); }
  Tree& link(kj::StringPtr path, kj::StringPtr to) { return put(path, Type::symlink, to); }
  Tree& hard(kj::StringPtr path, kj::StringPtr to) { return put(path, Type::hardLink, to); }

  // All paths, in order; directories with a slash.
  std::string listing() {
    std::string out;
    list(tree.root(), "", out);
    return out;
  }

 private:
  uint64_t member = 0;

  static void list(ImageNode& node, const std::string& prefix, std::string& out) {
    for (auto& entry : node.children) {
      auto path = prefix + entry.key.cStr();
      if (entry.value->isDirectory()) path += '/';
      out += path + ' ';
      list(*entry.value, path, out);
    }
  }
};

TEST(ImageTree, LaterLayersWin) {
  Tree t;
  t.layer().put("a").dir("d").put("d/x").layer().put("a").put("d/y");
  EXPECT_EQ(t.listing(), "a d/ d/x d/y ");
  auto a = t.tree.find("a");
  EXPECT_EQ(KJ_ASSERT_NONNULL(a).inode->layer, 1u);
  t.tree.finish();
  EXPECT_TRUE(t.tree.contentOf(0, 0) == nullptr);
  EXPECT_TRUE(t.tree.contentOf(1, 0) != nullptr);
}

TEST(ImageTree, WhiteoutsRemoveWhatIsBelowOnly) {
  Tree t;
  t.layer().put("a").put("b").dir("d").put("d/x");
  t.layer().put(".wh.a").put("b").put(".wh.b").put(".wh.d").put("d/new").put(".wh.missing");
  EXPECT_EQ(t.listing(), "b d/ d/new ");
  Tree before;
  before.layer().dir("d").put("d/x").layer().put("d/new").put(".wh.d");
  EXPECT_EQ(before.listing(), "d/ d/new ");
}

TEST(ImageTree, OpaqueDirectoriesHideLowerLayers) {
  for (bool first : {true, false}) {
    Tree t;
    t.layer().dir("d").put("d/x").dir("d/sub").put("d/sub/y").layer();
    if (first) t.put("d/.wh..wh..opq");
    t.dir("d").put("d/new").put("d/sub/z");
    if (!first) t.put("d/.wh..wh..opq");
    EXPECT_EQ(t.listing(), "d/ d/new d/sub/ d/sub/z ") << first;
  }
}

TEST(ImageTree, OtherWhiteoutNames) {
  Tree t;
  t.layer().put("a").layer().put(".wh..wh.plnk").put(".wh..wh.foo");
  EXPECT_EQ(t.listing(), "a ");
  for (auto name : {".wh.", ".wh..", ".wh..."}) {
    EXPECT_EQ(failureFrom([&]() { t.put(name); }).code, FailureCode::INVALID) << name;
  }
}

TEST(ImageTree, NothingIsWrittenThroughLinks) {
  Tree t;
  t.layer().link("etc", "/x").put("file").dir("x").put("x/passwd").layer();
  EXPECT_EQ(failureFrom([&]() { t.put("etc/passwd"); }).code, FailureCode::INVALID);
  EXPECT_EQ(failureFrom([&]() { t.hard("etc/b", "file"); }).code, FailureCode::INVALID);
  EXPECT_EQ(failureFrom([&]() { t.put("file/below"); }).code, FailureCode::INVALID);
  EXPECT_EQ(failureFrom([&]() { t.hard("c", "etc/passwd"); }).code, FailureCode::INVALID);
  t.put("etc/.wh.passwd");
  EXPECT_EQ(t.listing(), "etc file x/ x/passwd ");
}

TEST(ImageTree, TypesChange) {
  Tree t;
  t.layer().put("a").dir("b").put("b/c").link("d", "b");
  t.layer().dir("a").put("a/x").put("b").put("d");
  EXPECT_EQ(t.listing(), "a/ a/x b d ");
  EXPECT_EQ(KJ_ASSERT_NONNULL(t.tree.find("d")).inode->type, Type::file);
}

TEST(ImageTree, HardLinksAcrossLayers) {
  Tree t;
  t.layer().put("a").layer().hard("b", "a").layer().put(".wh.a");
  EXPECT_EQ(t.listing(), "b ");
  t.tree.finish();
  EXPECT_EQ(KJ_ASSERT_NONNULL(t.tree.find("b")).inode->links, 1u);
  EXPECT_TRUE(t.tree.contentOf(0, 0) != nullptr);
}

TEST(ImageTree, HardLinksToNothingAreRefused) {
  Tree t;
  t.layer().put("gone").dir("d").layer().put(".wh.gone");
  EXPECT_EQ(failureFrom([&]() { t.hard("a", "gone"); }).code, FailureCode::INVALID);
  EXPECT_EQ(failureFrom([&]() { t.hard("a", "later"); }).code, FailureCode::INVALID);
  EXPECT_EQ(failureFrom([&]() { t.hard("a", "a"); }).code, FailureCode::INVALID);
  EXPECT_EQ(failureFrom([&]() { t.hard("a", "d"); }).code, FailureCode::INVALID);
  t.put("a").hard("a", "a").link("l", "a").hard("m", "l");
  EXPECT_EQ(KJ_ASSERT_NONNULL(t.tree.find("m")).inode->type, Type::symlink);
}

TEST(ImageTree, OverlayAttributesAreDropped) {
  Tree t;
  t.layer();
  TarEntry entry;
  entry.path = kj::str("f");
  for (auto name :
       {"trusted.overlay.opaque", "user.x", "security.capability", "system.posix_acl"}) {
    entry.attributes.add(ExtendedAttribute{kj::str(name), nullptr});
  }
  t.tree.apply(kj::mv(entry), 0);
  const auto& kept = KJ_ASSERT_NONNULL(t.tree.find("f")).inode->attributes;
  ASSERT_EQ(kept.size(), 2u);
  EXPECT_EQ(kept[0].name, "user.x");
  EXPECT_EQ(kept[1].name, "security.capability");
}

TEST(ImageTree, EntriesAreBounded) {
  Tree t;
  t.layer();
  auto failed = failureFrom([&]() {
    for (int i = 0; i < 1001; ++i) t.put("same");
  });
  EXPECT_EQ(failed.code, FailureCode::EXHAUSTED);
  Tree deep;
  deep.layer();
  kj::String path = kj::str("d");
  for (int i = 0; i < 1500; ++i) path = kj::str(path, "/d");
  EXPECT_EQ(failureFrom([&]() { deep.put(path); }).code, FailureCode::EXHAUSTED);
}

}  // namespace
}  // namespace bulkhead
