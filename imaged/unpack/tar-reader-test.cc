// SPDX-License-Identifier: Apache-2.0
#include "imaged/unpack/tar-reader.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <kj/debug.h>

#include "imaged/testing/failures.h"
#include "imaged/testing/piece-source.h"
#include "imaged/testing/processes.h"
#include "imaged/testing/tar-builder.h"
#include "imaged/testing/test-image.h"

namespace bulkhead {
namespace {

using testing::failureFrom;
using testing::PieceSource;
using testing::TarBuilder;

struct Member {
  TarEntry entry;
  std::string content;
};

kj::Vector<Member> readAll(kj::ArrayPtr<const kj::byte> archive, size_t piece = 1000) {
  PieceSource source(archive, piece);
  TarReader reader(source, "layer");
  kj::Vector<Member> result;
  for (;;) {
    auto next = reader.next();
    if (next == nullptr) return result;
    Member member;
    KJ_IF_MAYBE (entry, next) member.entry = kj::mv(*entry);
    for (;;) {
      auto bytes = reader.content();
      if (bytes.size() == 0) break;
      member.content.append(bytes.asChars().begin(), bytes.size());
    }
    result.add(kj::mv(member));
  }
}

FailureCode codeOf(kj::ArrayPtr<const kj::byte> archive) {
  return failureFrom([&]() { readAll(archive); }).code;
}

TarBuilder::Fields typed(char type, kj::StringPtr link = "") {
  TarBuilder::Fields fields;
  fields.type = type;
  fields.link = link;
  return fields;
}

TEST(TarReader, ReadsWhatIsThere) {
  auto device = typed('3');
  device.deviceMajor = 1;
  device.deviceMinor = 5;
  auto archive = TarBuilder()
                     .directory("a/")
                     .file("./a/b", "content", 04755)
                     .symlink("/c", "../x")
                     .hardLink("d", "./a/b")
                     .add("zero", "", device)
                     .finish();
  for (size_t piece : {size_t{1}, size_t{511}, size_t{4096}}) {
    auto members = readAll(archive, piece);
    ASSERT_EQ(members.size(), 5u);
    EXPECT_EQ(members[0].entry.path, "a");
    EXPECT_EQ(members[0].entry.type, TarEntry::Type::directory);
    EXPECT_EQ(members[1].entry.path, "a/b");
    EXPECT_EQ(members[1].entry.mode, 04755u);
    EXPECT_EQ(members[1].content, "content");
    EXPECT_EQ(members[2].entry.path, "c");
    EXPECT_EQ(members[2].entry.linkTarget, "../x");
    EXPECT_EQ(members[3].entry.linkTarget, "a/b");
    EXPECT_EQ(members[4].entry.deviceMinor, 5u);
  }
}

TEST(TarReader, LongNamesOfBothKinds) {
  auto name = kj::heapString(150);
  memset(name.begin(), 'n', name.size());
  auto path = kj::str("d/", name);
  auto record = kj::str("path=", path);
  auto members = readAll(TarBuilder()
                             .pax({record})
                             .file("short", "1")
                             .gnuLong('L', path)
                             .file("short", "2")
                             .gnuLong('K', path)
                             .hardLink("link", "short")
                             .finish());
  ASSERT_EQ(members.size(), 3u);
  EXPECT_EQ(members[0].entry.path, path);
  EXPECT_EQ(members[1].entry.path, path);
  EXPECT_EQ(members[2].entry.linkTarget, path);
}

TEST(TarReader, ThePaxSizeCountsEverywhere) {
  // CVE-2025-62518: with 0 in the old field, a lenient reader takes the content for members.
  auto inner = TarBuilder().file("smuggled", "x").cutOff();
  auto record = kj::str("size=", inner.size());
  TarBuilder::Fields zero;
  zero.size = uint64_t{0};
  auto members = readAll(TarBuilder()
                             .pax({record})
                             .add("outer", kj::StringPtr(""), zero)
                             .raw(inner)
                             .file("after", "y")
                             .finish());
  ASSERT_EQ(members.size(), 2u);
  EXPECT_EQ(members[0].entry.size, inner.size());
  EXPECT_EQ(members[1].entry.path, "after");
}

TEST(TarReader, AttributesAndNumbersFromPax) {
  auto members = readAll(
      TarBuilder()
          .pax({"SCHILY.xattr.security.capability=abc", "uid=70000", "gid=80000", "mtime=12.5"})
          .file("f", "")
          .finish());
  ASSERT_EQ(members.size(), 1u);
  const auto& entry = members[0].entry;
  ASSERT_EQ(entry.attributes.size(), 1u);
  EXPECT_EQ(entry.attributes[0].name, "security.capability");
  EXPECT_EQ(entry.user, 70000u);
  EXPECT_EQ(entry.group, 80000u);
  EXPECT_EQ(entry.modified, 12);
}

TEST(TarReader, PathsAreNormalisedOrRefused) {
  for (auto path : {"..", "../x", "a/../b", "a/..", "/..", "./../x"}) {
    EXPECT_EQ(codeOf(TarBuilder().file(path, "").finish()), FailureCode::INVALID) << path;
  }
  EXPECT_EQ(codeOf(TarBuilder().file("", "").finish()), FailureCode::INVALID);
  EXPECT_EQ(codeOf(TarBuilder().symlink(".", "x").finish()), FailureCode::INVALID);
  EXPECT_EQ(codeOf(TarBuilder().symlink("/", "x").finish()), FailureCode::INVALID);
  EXPECT_EQ(codeOf(TarBuilder().hardLink("a", "../x").finish()), FailureCode::INVALID);
  EXPECT_EQ(codeOf(TarBuilder().hardLink("a", "").finish()), FailureCode::INVALID);
  auto longName = kj::heapString(300);
  memset(longName.begin(), 'x', longName.size());
  auto record = kj::str("path=", longName);
  EXPECT_EQ(codeOf(TarBuilder().pax({record}).file("x", "").finish()), FailureCode::INVALID);
  auto huge = kj::heapString(1u << 20);
  memset(huge.begin(), '/', huge.size());
  auto hugeRecord = kj::str("path=", huge);
  EXPECT_EQ(codeOf(TarBuilder().pax({hugeRecord}).file("x", "").finish()), FailureCode::INVALID);
  auto members = readAll(TarBuilder().file("new\nline", "").directory("./").finish());
  EXPECT_EQ(members[0].entry.path, "new\nline");
  EXPECT_EQ(members[1].entry.path, "");
}

TEST(TarReader, MalformedPaxIsAnError) {
  const char* wrong[] = {"8 path=x\n",
                         "11 path=x\n",
                         "10 path=xy",
                         "x path=x\n",
                         "6 =xy\n",
                         "8 pathx\n",
                         "-1 a=b\n",
                         "99999999999999999999 a=b\n",
                         "14 size=12x45\n",
                         "11 size=-1\n",
                         "28 size=9223372036854775808\n",
                         "0 a=b\n",
                         " a=b\n",
                         "9 path=x\n9 path=y\n",
                         "11 mtime=x\n"};
  for (const char* text : wrong) {
    EXPECT_EQ(codeOf(TarBuilder().rawPax(text).file("f", "").finish()), FailureCode::INVALID)
        << text;
  }
  // A NUL in a name.
  kj::StringPtr nul("13 path=ab\0c\n", 13);
  EXPECT_EQ(codeOf(TarBuilder().rawPax(nul).file("f", "").finish()), FailureCode::INVALID);
}

TEST(TarReader, WhatTwoReadersCouldReadDifferentlyIsRefused) {
  auto both = TarBuilder().pax({"path=x"}).gnuLong('L', "y").file("z", "").finish();
  EXPECT_EQ(codeOf(both), FailureCode::INVALID);
  auto twice = TarBuilder().pax({"path=x"}).pax({"path=y"}).file("z", "").finish();
  EXPECT_EQ(codeOf(twice), FailureCode::INVALID);
  auto global = TarBuilder().rawPax("9 path=x\n", 'g').file("z", "").finish();
  EXPECT_EQ(codeOf(global), FailureCode::INVALID);
  auto comment = TarBuilder().rawPax("13 comment=x\n", 'g').file("z", "").finish();
  EXPECT_EQ(readAll(comment).size(), 1u);
  auto orphan = TarBuilder().file("z", "").pax({"path=x"}).finish();
  EXPECT_EQ(codeOf(orphan), FailureCode::INVALID);
  EXPECT_EQ(codeOf(TarBuilder().add("l", "data", typed('1', "z")).finish()), FailureCode::INVALID);
  EXPECT_EQ(codeOf(TarBuilder().add("l", "data", typed('2', "z")).finish()), FailureCode::INVALID);
  EXPECT_EQ(codeOf(TarBuilder().add("d", "data", typed('5')).finish()), FailureCode::INVALID);
}

TEST(TarReader, BadNumbersAndChecksums) {
  TarBuilder::Fields fields;
  fields.checksumError = 1;
  EXPECT_EQ(codeOf(TarBuilder().add("f", "", fields).finish()), FailureCode::INVALID);
  const kj::StringPtr sizes[] = {
      kj::StringPtr("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12),  // -1
      kj::StringPtr("\x80\0\0\0\x80\0\0\0\0\0\0\0", 12),                      // 2^63
      kj::StringPtr("\x80\1\0\0\0\0\0\0\0\0\0\0", 12),                        // far more
      "00000000009",
      "0x1",
      "-1"};
  for (auto size : sizes) {
    TarBuilder::Fields odd;
    odd.sizeField = size;
    EXPECT_EQ(codeOf(TarBuilder().add("f", "", odd).finish()), FailureCode::INVALID);
  }
  TarBuilder::Fields magic;
  magic.magic = "nustar";
  EXPECT_EQ(codeOf(TarBuilder().add("f", "", magic).finish()), FailureCode::INVALID);
}

TEST(TarReader, UnknownMembersAreUnsupported) {
  EXPECT_EQ(codeOf(TarBuilder().add("f", "", typed('M')).finish()), FailureCode::UNSUPPORTED);
  EXPECT_EQ(codeOf(TarBuilder().add("f", "", typed('V')).finish()), FailureCode::UNSUPPORTED);
}

// Every form GNU tar writes, by GNU tar.
TEST(TarReader, SparseFilesOfEveryForm) {
  testing::TemporaryDirectory directory;
  auto file = directory.path("holes");
  int raw;
  KJ_SYSCALL(raw = open(file.cStr(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  kj::AutoCloseFd fd(raw);
  // More pieces than a header holds, and a hole at the end.
  constexpr size_t kSize = 4u << 20;
  std::string expected(kSize, 0);
  for (int i = 0; i < 30; ++i) {
    auto at = static_cast<size_t>(i) * 130'000 + 4096;
    auto piece = std::string(3000, static_cast<char>('a' + i % 26));
    expected.replace(at, piece.size(), piece);
    KJ_SYSCALL(pwrite(fd, piece.data(), piece.size(), static_cast<off_t>(at)));
  }
  KJ_SYSCALL(ftruncate(fd, kSize));
  const char* forms[] = {"--format=gnu", "--sparse-version=0.0", "--sparse-version=0.1",
                         "--sparse-version=1.0"};
  for (auto form : forms) {
    auto archive = directory.path("archive");
    testing::runCommand({"tar", "-C", directory.path(), "--format=pax", form, "--sparse", "-cf",
                         archive, "holes", "--add-file=holes"});
    auto bytes = testing::readFile(archive);
    EXPECT_LT(bytes.size(), kSize) << form;
    auto members = readAll(bytes);
    ASSERT_EQ(members.size(), 2u) << form;
    EXPECT_EQ(members[0].entry.path, "holes") << form;
    EXPECT_EQ(members[0].entry.size, kSize) << form;
    EXPECT_TRUE(members[0].content == expected) << form;
  }
}

TEST(TarReader, WrongSparseMapsAreErrors) {
  auto code = [](std::initializer_list<kj::StringPtr> records) {
    return codeOf(TarBuilder().pax(records).file("f", "12345678").finish());
  };
  auto good = TarBuilder()
                  .pax({"GNU.sparse.size=100", "GNU.sparse.numblocks=2", "GNU.sparse.map=0,4,50,4"})
                  .file("f", "12345678")
                  .finish();
  auto members = readAll(good);
  EXPECT_EQ(members[0].content, "1234" + std::string(46, 0) + "5678" + std::string(46, 0));
  EXPECT_EQ(code({"GNU.sparse.size=100", "GNU.sparse.map=50,4,0,4"}), FailureCode::INVALID);
  EXPECT_EQ(code({"GNU.sparse.size=100", "GNU.sparse.map=0,4,3,4"}), FailureCode::INVALID);
  EXPECT_EQ(code({"GNU.sparse.size=100", "GNU.sparse.map=0,4,50"}), FailureCode::INVALID);
  EXPECT_EQ(code({"GNU.sparse.size=100", "GNU.sparse.map=0,4,50,5"}), FailureCode::INVALID);
  EXPECT_EQ(code({"GNU.sparse.size=53", "GNU.sparse.map=0,4,50,4"}), FailureCode::INVALID);
  EXPECT_EQ(code({"GNU.sparse.map=0,4,50,4"}), FailureCode::INVALID);
  EXPECT_EQ(code({"GNU.sparse.size=100", "GNU.sparse.numblocks=3", "GNU.sparse.map=0,4,50,4"}),
            FailureCode::INVALID);
  EXPECT_EQ(code({"GNU.sparse.size=8", "GNU.sparse.offset=0"}), FailureCode::INVALID);
  EXPECT_EQ(code({"GNU.sparse.size=8", "GNU.sparse.numbytes=8"}), FailureCode::INVALID);
  EXPECT_EQ(code({"GNU.sparse.size=9223372036854775807", "GNU.sparse.map=9223372036854775800,8"}),
            FailureCode::INVALID);
  EXPECT_EQ(code({"GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.realsize=8"}),
            FailureCode::INVALID);
  EXPECT_EQ(code({"GNU.sparse.major=2", "GNU.sparse.minor=0", "GNU.sparse.realsize=8"}),
            FailureCode::UNSUPPORTED);
  EXPECT_EQ(code({"GNU.sparse.unheard=1"}), FailureCode::UNSUPPORTED);
  // Both forms at once, and one without its header.
  EXPECT_EQ(codeOf(TarBuilder()
                       .pax({"GNU.sparse.size=8", "GNU.sparse.map=0,8"})
                       .add("f", "12345678", typed('S'))
                       .finish()),
            FailureCode::INVALID);
  EXPECT_EQ(codeOf(TarBuilder().add("f", "", typed('S')).finish()), FailureCode::INVALID);
}

TEST(TarReader, TheEndMustBeTheEnd) {
  auto full = TarBuilder().file("f", "content").finish();
  // Every shorter archive is an error, whatever it is cut at.
  for (size_t size = 0; size < full.size(); size += 64) {
    EXPECT_EQ(codeOf(full.slice(0, size)), FailureCode::INVALID) << size;
  }
  auto tail = TarBuilder().raw(full).raw("garbage"_kj.asBytes()).cutOff();
  EXPECT_EQ(codeOf(tail), FailureCode::INVALID);
  auto second = TarBuilder().raw(full).raw(full).cutOff();
  EXPECT_EQ(codeOf(second), FailureCode::INVALID);
  auto padded = TarBuilder().raw(full).finish();
  EXPECT_EQ(readAll(padded).size(), 1u);
}

}  // namespace
}  // namespace bulkhead
