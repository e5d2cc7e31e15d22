// SPDX-License-Identifier: Apache-2.0
// Whole layers into whole outputs, checked with other people's tools.
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <kj/debug.h>
#include <kj/thread.h>

#include "imaged/file-bytes.h"
#include "imaged/testing/pack-fixture.h"
#include "imaged/testing/processes.h"
#include "imaged/testing/tar-builder.h"
#include "imaged/unpack/tree-writer.h"

namespace bulkhead {
namespace {

using testing::contentOf;
using testing::gzip;
using testing::memoryFile;
using testing::PackTest;
using testing::TarBuilder;
kj::Array<kj::byte> richTar() {
  TarBuilder::Fields device;
  device.type = '3';
  device.deviceMajor = 1;
  device.deviceMinor = 5;
  TarBuilder::Fields fifo;
  fifo.type = '6';
  TarBuilder::Fields owned;
  owned.user = 1000;
  owned.group = 100'000;
  owned.mode = 04755;
  auto big = kj::heapString(300'000);
  for (size_t i = 0; i < big.size(); ++i) big[i] = static_cast<char>('a' + i * i % 23);
  return TarBuilder()
      .directory("./", 0711)
      .directory("dir")
      .file("dir/big", big)
      .file("empty", "")
      .add("owned", "data", owned)
      .hardLink("dir/hard", "owned")
      .symlink("link", "dir/big")
      .hardLink("link2", "link")
      .add("dev", "", device)
      .add("pipe", "", fifo)
      .pax({"SCHILY.xattr.security.capability=cap", "SCHILY.xattr.user.k=v"})
      .file("attributed", "x")
      .file("deep/er/than/named", "y")
      .finish();
}

TEST_F(PackTest, SquashfsHoldsEverything) {
  add(richTar());
  auto bytes = squashfs();
  EXPECT_EQ(bytes.size() % 4096, 0u);
  auto text = listing(bytes);
  for (auto line :
       {"drwx--x--x 0/0", "-rwsr-xr-x 1000/100000", "crw-r--r-- 0/0", "1,  5 ", "prw-r--r-- 0/0",
        "/link -> dir/big", "/link2 -> dir/big", "/dir/hard", "/deep/er/than/named", "300000"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << "\n" << text;
  }
  auto path = save(bytes);
  EXPECT_EQ(testing::runForOutput({"unsquashfs", "-cat", path, "dir/hard"}), "data");
  EXPECT_EQ(testing::runForOutput({"unsquashfs", "-cat", path, "dir/big"}).size(), 300'000u);
  // Another reader, and the whole of it.
  auto target = directory.makeDirectory("out");
  testing::runCommand(
      {"rdsquashfs", "--unpack-root", target, "--unpack-path", "/", "--quiet", path});
  auto attributes = testing::runForOutput({"rdsquashfs", "--describe", path});
  EXPECT_NE(strstr(attributes.cStr(), "attributed"), nullptr);
  struct stat status;
  KJ_SYSCALL(stat(kj::str(target, "/dir/big").cStr(), &status));
  EXPECT_EQ(status.st_size, 300'000);
}

TEST_F(PackTest, BlocksAreCompressedAsAskedFor) {
  add(richTar());
  using Blocks = schema::BlockCompression;
  struct Case {
    Blocks blocks;
    int number;  // in the super block
  };
  for (auto [blocks, number] : {Case{Blocks::ZSTD, 6}, Case{Blocks::LZ4, 5}}) {
    auto bytes = squashfs(blocks);
    EXPECT_EQ(bytes[20], number);
    EXPECT_EQ(testing::runForOutput({"unsquashfs", "-cat", save(bytes), "dir/hard"}), "data");
  }
  clear();
  // Nothing of this shrinks.
  std::string noise(300'000, 0);
  uint32_t state = 1;
  for (char& c : noise) c = static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
  add(TarBuilder().file("noise", kj::StringPtr(noise.data(), noise.size())).finish());
  for (auto blocks : {Blocks::LZ4, Blocks::ZSTD}) {
    auto path = save(squashfs(blocks));
    auto back = testing::runForOutput({"unsquashfs", "-cat", path, "noise"});
    EXPECT_TRUE(back.size() == noise.size() &&
                memcmp(back.begin(), noise.data(), noise.size()) == 0);
  }
  EXPECT_EQ(testing::failureFrom([&]() { squashfs(static_cast<Blocks>(9)); }).code,
            FailureCode::UNSUPPORTED);
}

TEST_F(PackTest, TheSameLayersGiveTheSameBytes) {
  add(richTar());
  add(TarBuilder().file("dir/.wh.big", "").file("new", "x").finish());
  EXPECT_EQ(squashfs(), squashfs());
}

TEST_F(PackTest, EveryCompressionIsRead) {
  auto one = TarBuilder().file("a", "1").finish();
  auto two = TarBuilder().file("b", "2").finish();
  auto three = TarBuilder().file("c", "3").finish();
  add(one, one, Compression::NONE);
  add(testing::zstd(two), two, Compression::ZSTD);
  // Two members, as pigz and estargz make them.
  auto head = gzip(three.slice(0, 700));
  auto tail = gzip(three.slice(700, three.size()));
  kj::Vector<kj::byte> members;
  members.addAll(head);
  members.addAll(tail);
  add(members, three, Compression::GZIP);
  auto text = listing(squashfs());
  for (auto name : {"/a", "/b", "/c"}) EXPECT_NE(text.find(name), std::string::npos) << name;
}

TEST_F(PackTest, DamagedStreamsAreErrors) {
  auto tar = TarBuilder().file("a", "1").finish();
  auto blob = gzip(tar);
  for (size_t cut : {size_t{0}, size_t{5}, blob.size() / 2, blob.size() - 1}) {
    clear();
    add(blob.slice(0, cut), tar, Compression::GZIP);
    EXPECT_EQ(packFailure().code, FailureCode::INVALID) << cut;
  }
  kj::Vector<kj::byte> tail;
  tail.addAll(blob);
  tail.addAll("garbage"_kj.asBytes());
  clear();
  add(tail, tar, Compression::GZIP);
  EXPECT_EQ(packFailure().code, FailureCode::INVALID);

  auto frame = testing::zstd(tar);
  clear();
  add(frame.slice(0, frame.size() - 4), tar, Compression::ZSTD);
  EXPECT_EQ(packFailure().code, FailureCode::INVALID);
}

TEST_F(PackTest, AHugeWindowIsRefused) {
  auto content = kj::heapString(1u << 20);
  memset(content.begin(), 'x', content.size());
  auto tar = TarBuilder().file("a", content).finish();
  add(testing::zstd(tar, 27), tar, Compression::ZSTD);
  EXPECT_EQ(packFailure().code, FailureCode::INVALID);
}

TEST_F(PackTest, OnlyWhatTheConfigurationNamesIsPacked) {
  auto tar = TarBuilder().file("a", "1").finish();
  auto other = TarBuilder().file("a", "2").finish();
  add(gzip(tar), other, Compression::GZIP);
  EXPECT_EQ(packFailure().code, FailureCode::DIGEST_MISMATCH);
  clear();
  add(gzip(tar), tar, Compression::GZIP);
  auto bytes = gzip(other);
  KJ_SYSCALL(ftruncate(layers[0].blob, 0));
  writeAt(layers[0].blob, 0, bytes);
  EXPECT_EQ(packFailure().code, FailureCode::DIGEST_MISMATCH);
}

TEST_F(PackTest, BombsAreBounded) {
  auto content = kj::heapString(8u << 20);
  memset(content.begin(), 0, content.size());
  add(TarBuilder().file("zeros", content).finish());
  bounds.bytes = 1u << 20;
  EXPECT_EQ(packFailure().code, FailureCode::EXHAUSTED);
}

TEST_F(PackTest, CpioIsReadByTheUsualTool) {
  add(richTar());
  add(TarBuilder().file("init", "#!/bin/sh", 0755).finish());
  auto out = memoryFile();
  pack(*makeCpioWriter(out));
  auto bytes = contentOf(out);
  EXPECT_EQ(bytes.size() % 4, 0u);
  auto path = save(bytes);
  auto text = std::string(testing::runForOutput({"cpio", "-itv", "--quiet", "-F", path}).cStr());
  for (auto line : {"dir/big", "link -> dir/big", "init", "1,   5", "-rwsr-xr-x"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << "\n" << text;
  }
  auto target = directory.makeDirectory("out");
  testing::runCommand({"sh", "-c", kj::str("cd ", target, " && cpio -id --quiet < ", path)});
  EXPECT_EQ(testing::runForOutput({"cat", kj::str(target, "/dir/hard")}), "data");
  EXPECT_EQ(testing::runForOutput({"cat", kj::str(target, "/init")}), "#!/bin/sh");
}

// Files whose names are gone but whose contents are wanted, by a hard link of any layer: they are
// read a second time.
TEST_F(PackTest, HiddenContentThatALinkKeeps) {
  auto content = kj::heapString(300'000);
  memset(content.begin(), 'k', content.size());
  add(TarBuilder().file("a", content).hardLink("b", "a").file("c", "see").finish());
  add(TarBuilder().hardLink("d", "c").file(".wh.a", "").finish());
  add(TarBuilder().file("c", "new").finish());
  auto path = save(squashfs());
  EXPECT_EQ(testing::runForOutput({"unsquashfs", "-cat", path, "b"}), content);
  EXPECT_EQ(testing::runForOutput({"unsquashfs", "-cat", path, "c"}), "new");
  EXPECT_EQ(testing::runForOutput({"unsquashfs", "-cat", path, "d"}), "see");
}

// What a layer above replaces, removes or hides is not in the image at all.
TEST_F(PackTest, HiddenContentTakesNoSpace) {
  auto noise = kj::heapString(600'000);
  uint32_t state = 1;
  for (auto& c : noise) {
    state = state * 1664525 + 1013904223;
    c = static_cast<char>(state >> 24);
  }
  auto third = [&](int i) {
    return kj::str(noise.slice(static_cast<size_t>(i) * 200'000).slice(0, 200'000));
  };
  add(TarBuilder()
          .file("replaced", third(0))
          .file("gone/removed", third(1))
          .file("opaque/hidden", third(2))
          .finish());
  add(TarBuilder()
          .file("replaced", "x")
          .file(".wh.gone", "")
          .file("opaque/.wh..wh..opq", "")
          .finish());
  EXPECT_LT(squashfs().size(), 16'384u);
}

// The download runs beside: the worker reads what is there and waits for more.
TEST_F(PackTest, ABlobThatIsStillArriving) {
  auto content = kj::heapString(3'000'000);
  for (size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * i / 977);
  auto tar = TarBuilder().file("big", content).finish();
  auto blob = gzip(tar);
  enum class Ending { complete, cutOff };
  for (auto ending : {Ending::complete, Ending::cutOff}) {
    clear();
    add(blob, tar, Compression::GZIP);
    int ends[2];
    KJ_SYSCALL(pipe2(ends, O_CLOEXEC));
    layers[0].arrival = kj::AutoCloseFd(ends[0]);
    kj::AutoCloseFd news(ends[1]);
    KJ_SYSCALL(ftruncate(layers[0].blob, 0));
    kj::Thread download([&]() {
      size_t end = ending == Ending::complete ? blob.size() : blob.size() / 2;
      constexpr size_t kPiece = 10'000;
      for (size_t at = 0; at < end; at += kPiece) {
        writeAt(layers[0].blob, at, blob.slice(at, kj::min(at + kPiece, end)));
        KJ_SYSCALL(write(news, "n", 1));
      }
      news = nullptr;
    });
    if (ending == Ending::complete) {
      auto path = save(squashfs());
      EXPECT_EQ(testing::runForOutput({"unsquashfs", "-cat", path, "big"}).size(), content.size());
    } else {
      EXPECT_EQ(packFailure().code, FailureCode::INVALID);
    }
  }
}

TEST_F(PackTest, ArchivesOneBehindTheOtherAreOneFileSystem) {
  auto archive = [&](kj::ArrayPtr<const kj::byte> tar) {
    clear();
    add(tar);
    auto out = testing::memoryFile();
    pack(*makeCpioWriter(out));
    return contentOf(out);
  };
  auto system = archive(TarBuilder().file("init", "#!/bin/sh", 0755).finish());
  auto extension = archive(TarBuilder().file("lib/extra.so", "so").finish());
  EXPECT_EQ(system.size() % 4, 0u);
  // Each header has to stand where the kernel looks for the next one.
  auto both = system + extension;
  std::string names;
  for (size_t at = 0; at < both.size();) {
    ASSERT_EQ(both.substr(at, 6), "070701") << at;
    auto number = [&](size_t field) {
      return std::stoul(both.substr(at + 6 + 8 * field, 8), nullptr, 16);
    };
    size_t nameSize = number(11);
    names += both.substr(at + 110, nameSize - 1) + " ";
    size_t content = (at + 110 + nameSize + 3) / 4 * 4;
    at = (content + number(6) + 3) / 4 * 4;
  }
  EXPECT_EQ(names, "init TRAILER!!! lib lib/extra.so TRAILER!!! ");
}

}  // namespace
}  // namespace bulkhead
