// SPDX-License-Identifier: Apache-2.0
// What a hostile layer may try. The numbers are those of the table of hostile cases; T13, that
// nothing made here is ever mounted by the host, is a matter of hvd, and T14 one of the zone.
#include <string.h>

#include <kj/debug.h>

#include "imaged/testing/processes.h"
#include "imaged/testing/reference-unpacker.h"
#include "imaged/testing/tar-builder.h"
#include "imaged/unpack/tar-header.h"

namespace bulkhead::testing {
namespace {

// A finished archive that can be named in a list.
struct Layer {
  kj::Array<kj::byte> bytes;

  Layer(TarBuilder& builder) : bytes(builder.finish()) {}
  Layer(const Layer& other) : bytes(kj::heapArray(other.bytes.asPtr())) {}
};

class HostileTar : public ReferenceTest {
 protected:
  using Layers = std::initializer_list<Layer>;

  void take(Layers stack) {
    clear();
    for (const auto& each : stack) add(each.bytes);
  }
  FailureCode codeOf(Layers stack) {
    take(stack);
    return packFailure().code;
  }
  FailureCode codeOf(TarBuilder& layer) { return codeOf({Layer(layer)}); }
  Failure failureOf(TarBuilder& layer) {
    take({Layer(layer)});
    return packFailure();
  }
  std::string listingOf(Layers stack) {
    take(stack);
    return listing(squashfs());
  }
  std::string differenceOf(Layers stack) {
    kj::Vector<kj::Array<kj::byte>> tars;
    for (const auto& each : stack) tars.add(kj::heapArray(each.bytes.asPtr()));
    return difference(tars);
  }
  static bool has(const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
  }
  static TarBuilder::Fields typed(char type, kj::StringPtr link = "") {
    TarBuilder::Fields fields;
    fields.type = type;
    fields.link = link;
    return fields;
  }
};

TEST_F(HostileTar, T1_PathsThatLeadOutOrCannotBeShown) {
  for (auto path : {"..", "../x", "a/../../x", "/../x", "./../x", ""}) {
    EXPECT_EQ(codeOf(TarBuilder().file(path, "x")), FailureCode::INVALID) << path;
  }
  Layer absolute = TarBuilder().file("/etc//./passwd", "x");
  EXPECT_TRUE(has(listingOf({absolute}), "/etc/passwd"));
  auto long_ = kj::heapString(1u << 20);
  memset(long_.begin(), 'p', long_.size());
  for (size_t i = 100; i < long_.size(); i += 100) long_[i] = '/';
  auto record = kj::str("path=", long_);
  EXPECT_EQ(codeOf(TarBuilder().pax({record}).file("x", "")), FailureCode::INVALID);
  kj::StringPtr nul("path=a\0b", 8);
  EXPECT_EQ(codeOf(TarBuilder().pax({nul}).file("x", "")), FailureCode::INVALID);
  // What an error shows of a name moves no cursor.
  auto failed = failureOf(TarBuilder().add("e\x1b[2J\nvil", "data", typed('5')));
  EXPECT_EQ(failed.code, FailureCode::INVALID);
  EXPECT_TRUE(says(failed, "e\\x1b[2J\\x0avil")) << failed.describe().cStr();
  EXPECT_TRUE(says(failed, "layer 1 (sha256:"));
}

TEST_F(HostileTar, T2_TheRootIsADirectory) {
  for (auto root : {".", "/", "./"}) {
    EXPECT_EQ(codeOf(TarBuilder().symlink(root, "/tmp")), FailureCode::INVALID) << root;
    EXPECT_EQ(codeOf(TarBuilder().file("f", "").hardLink(root, "f")), FailureCode::INVALID) << root;
    EXPECT_EQ(codeOf(TarBuilder().add(root, "", typed('3'))), FailureCode::INVALID) << root;
  }
}

TEST_F(HostileTar, T3_NothingGoesThroughALinkOfALowerLayer) {
  auto lower = []() -> Layer {
    return TarBuilder().directory("x").file("x/passwd", "victim").symlink("etc", "/x");
  };
  auto one = lower();
  EXPECT_EQ(codeOf({one, TarBuilder().file("etc/passwd", "evil")}), FailureCode::INVALID);
  auto two = lower();
  EXPECT_EQ(codeOf({two, TarBuilder().hardLink("stolen", "etc/passwd")}), FailureCode::INVALID);
  auto three = lower();
  auto listing = listingOf({three, TarBuilder().file("etc/.wh.passwd", "")});
  EXPECT_TRUE(has(listing, "/x/passwd"));
  auto four = lower();
  listing = listingOf({four, TarBuilder().file("etc/.wh..wh..opq", "")});
  EXPECT_TRUE(has(listing, "/x/passwd"));
}

TEST_F(HostileTar, T4_ALinkIsReplaced) {
  Layer lower = TarBuilder().directory("./").directory("x").file("x/f", "x").symlink("etc", "x");
  Layer upper = TarBuilder().file("etc", "a file now");
  EXPECT_EQ(differenceOf({lower, upper}), "");
  Layer lower2 = TarBuilder().directory("./").directory("x").file("x/f", "x").symlink("etc", "x");
  Layer upper2 = TarBuilder().directory("etc").file("etc/f", "of a directory now");
  EXPECT_EQ(differenceOf({lower2, upper2}), "");
}

TEST_F(HostileTar, T5_HardLinks) {
  EXPECT_EQ(codeOf(TarBuilder().hardLink("a", "../../etc/shadow")), FailureCode::INVALID);
  EXPECT_EQ(codeOf(TarBuilder().hardLink("a", "a")), FailureCode::INVALID);
  EXPECT_EQ(codeOf(TarBuilder().hardLink("a", "b").file("b", "later")), FailureCode::INVALID);
  EXPECT_EQ(codeOf(TarBuilder().hardLink("a", "b").hardLink("b", "a")), FailureCode::INVALID);
  EXPECT_EQ(codeOf(TarBuilder().file("b", "").add("a", "data", typed('1', "b"))),
            FailureCode::INVALID);
  Layer whole = TarBuilder().file("f", "x");
  EXPECT_EQ(codeOf({whole, TarBuilder().file(".wh.f", "").hardLink("a", "f")}),
            FailureCode::INVALID);
  auto longName = kj::heapString(150);
  memset(longName.begin(), 't', longName.size());
  auto record = kj::str("path=", longName);
  auto link = kj::str("linkpath=", longName);
  Layer layer = TarBuilder()
                    .directory("./")
                    .pax({record})
                    .file("short", "of a long name")
                    .pax({link})
                    .hardLink("a", "short")
                    .symlink("s", "nowhere")
                    .hardLink("to-a-symlink", "s");
  Layer upper = TarBuilder().hardLink("c", "a").file(".wh.a", "");
  EXPECT_EQ(differenceOf({layer, upper}), "");
}

TEST_F(HostileTar, T6_Whiteouts) {
  EXPECT_EQ(codeOf(TarBuilder().file(".wh..", "")), FailureCode::INVALID);
  EXPECT_EQ(codeOf(TarBuilder().file(".wh...", "")), FailureCode::INVALID);
  EXPECT_EQ(codeOf(TarBuilder().file(".wh.", "")), FailureCode::INVALID);
  auto lower = []() -> Layer {
    return TarBuilder()
        .directory("./")
        .directory("d")
        .file("d/one", "1")
        .directory("d/sub")
        .file("d/sub/two", "2")
        .file("e", "3");
  };
  auto missing = lower();
  EXPECT_EQ(differenceOf({missing, TarBuilder().file(".wh.missing", "")}), "");
  auto opaque = lower();
  EXPECT_EQ(differenceOf({opaque, TarBuilder()
                                      .directory("d")
                                      .file("d/.wh..wh..opq", "")
                                      .file("d/new", "n")
                                      .directory("d/sub")
                                      .file("d/sub/three", "3")}),
            "");
  auto late = lower();
  EXPECT_EQ(differenceOf(
                {late, TarBuilder().directory("d").file("d/new", "n").file("d/.wh..wh..opq", "")}),
            "");
  auto removed = lower();
  EXPECT_EQ(differenceOf({removed, TarBuilder().file(".wh.d", "")}), "");
  auto record = lower();
  EXPECT_FALSE(has(listingOf({record, TarBuilder().file(".wh..wh.foo", "")}), "wh"));
}

TEST_F(HostileTar, T7_PaxSizeWins) {
  // CVE-2025-62518: what a reader sees as content, another one sees as members.
  auto inner = TarBuilder().file("smuggled", "x").cutOff();
  auto record = kj::str("size=", inner.size());
  TarBuilder::Fields zero;
  zero.size = uint64_t{0};
  Layer layer = TarBuilder().pax({record}).add("outer", "", zero).raw(inner).file("after", "y");
  auto text = listingOf({layer});
  EXPECT_FALSE(has(text, "smuggled"));
  EXPECT_TRUE(has(text, "/after"));
  EXPECT_EQ(codeOf(TarBuilder().rawPax("11 size=0x1\n").file("f", "")), FailureCode::INVALID);
  EXPECT_EQ(codeOf(TarBuilder().rawPax("99 size=1\n").file("f", "")), FailureCode::INVALID);
  EXPECT_EQ(codeOf(TarBuilder().pax({"path=x"}).gnuLong('L', "y").file("z", "")),
            FailureCode::INVALID);
  EXPECT_EQ(codeOf(TarBuilder().rawPax("10 size=1\n", 'g').file("f", "")), FailureCode::INVALID);
}

TEST_F(HostileTar, T8_NumbersAndSparseFiles) {
  for (auto size : {kj::StringPtr("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12),
                    kj::StringPtr("\x80\0\0\0\x80\0\0\0\0\0\0\0", 12)}) {
    TarBuilder::Fields odd;
    odd.sizeField = size;
    EXPECT_EQ(codeOf(TarBuilder().add("f", "", odd)), FailureCode::INVALID);
  }
  TarBuilder::Fields sum;
  sum.checksumError = 1;
  EXPECT_EQ(codeOf(TarBuilder().add("f", "", sum)), FailureCode::INVALID);
  EXPECT_EQ(codeOf(TarBuilder()
                       .pax({"GNU.sparse.size=1099511627776", "GNU.sparse.map=0,1"})
                       .file("huge", "x")),
            FailureCode::EXHAUSTED);
}

TEST_F(HostileTar, T9_NodesAndAttributesAreDataForTheZone) {
  auto device = typed('4');
  device.deviceMajor = 8;
  device.mode = 0660;
  Layer layer = TarBuilder()
                    .directory("./")
                    .add("sda", "", device)
                    .add("pipe", "", typed('6'))
                    .file("su", "x", 06755)
                    .pax({"SCHILY.xattr.user.kept=1", "SCHILY.xattr.trusted.overlay.redirect=/etc",
                          "SCHILY.xattr.trusted.overlay.opaque=y"})
                    .directory("d");
  take({layer});
  auto bytes = squashfs();
  auto text = listing(bytes);
  EXPECT_TRUE(has(text, "brw-rw----"));
  EXPECT_TRUE(has(text, "-rwsr-sr-x"));
  auto out = directory.path("out");
  runCommand({"unsquashfs", "-quiet", "-no-progress", "-d", out, save(bytes)});
  auto tree = describeTree(out.cStr());
  EXPECT_TRUE(has(tree["/d"], "user.kept"));
  EXPECT_FALSE(has(tree["/d"], "overlay"));
}

TEST_F(HostileTar, T10_TypesThatChange) {
  Layer lower = TarBuilder()
                    .directory("./")
                    .file("a", "file")
                    .directory("b")
                    .file("b/in", "x")
                    .symlink("c", "b")
                    .directory("d");
  Layer middle = TarBuilder()
                     .directory("a")
                     .file("a/b", "below")
                     .file("b", "a file now")
                     .directory("c")
                     .symlink("d", "a");
  Layer upper = TarBuilder().symlink("a", "b").directory("b").file("c", "x").file("d", "y");
  EXPECT_EQ(differenceOf({lower, middle}), "");
  Layer lower2 = TarBuilder().directory("./").file("a", "1").file("a", "2").directory("a");
  EXPECT_EQ(differenceOf({lower2, upper}), "");
  EXPECT_EQ(codeOf(TarBuilder().file("a", "file").file("a/b", "below")), FailureCode::INVALID);
}

TEST_F(HostileTar, T11_EverythingIsBounded) {
  TarBuilder many;
  for (int i = 0; i < 1001; ++i) many.file(kj::str("f", i), "");
  bounds.entries = 1000;
  EXPECT_EQ(codeOf(many), FailureCode::EXHAUSTED);

  // Deep ones count by their directories.
  kj::String deep = kj::str("d");
  for (int i = 0; i < 1500; ++i) deep = kj::str(deep, "/d");
  auto record = kj::str("path=", deep);
  EXPECT_EQ(codeOf(TarBuilder().pax({record}).file("x", "")), FailureCode::EXHAUSTED);

  // Short entries with long attributes: what has to be remembered is bounded as well.
  bounds = {uint64_t{1} << 40, 1'000'000};
  auto value = kj::heapString(60'000);
  memset(value.begin(), 'v', value.size());
  TarBuilder heavy;
  auto attribute = kj::str("SCHILY.xattr.user.a=", value);
  for (int i = 0; i < 6000; ++i) heavy.pax({attribute}).file(kj::str(i), "");
  auto failed = failureOf(heavy);
  EXPECT_EQ(failed.code, FailureCode::EXHAUSTED);
  EXPECT_TRUE(says(failed, "MiB")) << failed.describe().cStr();

  bounds = {64u << 20, 1000};
  TarBuilder::Fields huge;
  huge.size = uint64_t{1} << 32;
  EXPECT_EQ(codeOf(TarBuilder().add("huge", "not so much", huge)), FailureCode::EXHAUSTED);
}

TEST_F(HostileTar, T12_TheEndIsWhereItShouldBe) {
  auto full = TarBuilder().file("f", "content").finish();
  for (size_t size = 0; size < full.size(); size += 256) {
    clear();
    add(full.slice(0, size));
    EXPECT_EQ(packFailure().code, FailureCode::INVALID) << size;
  }
  EXPECT_EQ(codeOf(TarBuilder().raw(full).raw("tail"_kj.asBytes())), FailureCode::INVALID);
}

}  // namespace
}  // namespace bulkhead::testing
