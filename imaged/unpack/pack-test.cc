// SPDX-License-Identifier: Apache-2.0
// Whole layers into whole outputs, checked with other people's tools.
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <capnp/message.h>
#include <capnp/orphan.h>
#include <kj/async-io.h>
#include <kj/debug.h>

#include "imaged/testing/failures.h"
#include "imaged/testing/processes.h"
#include "imaged/testing/tar-builder.h"
#include "imaged/testing/test-image.h"
#include "imaged/unpack/tree-writer.h"
#include "imaged/unpack/unpack-worker.h"
#include "imaged/write-at.h"

namespace bulkhead {
namespace {

using testing::failureFrom;
using testing::gzip;
using testing::TarBuilder;
using Compression = schema::Layer::Compression;

kj::AutoCloseFd memoryFile() {
  int raw;
  KJ_SYSCALL(raw = memfd_create("test", MFD_CLOEXEC));
  return kj::AutoCloseFd(raw);
}

std::string contentOf(int fd) {
  std::string text(static_cast<size_t>(lseek(fd, 0, SEEK_END)), 0);
  ssize_t n;
  KJ_SYSCALL(n = pread(fd, text.data(), text.size(), 0));
  KJ_REQUIRE(static_cast<size_t>(n) == text.size());
  return text;
}

class PackTest : public ::testing::Test {
 public:
  ~PackTest() noexcept override {}

 protected:
  kj::AsyncIoContext io = kj::setupAsyncIo();
  testing::TemporaryDirectory directory;
  capnp::MallocMessageBuilder message;
  kj::Vector<PackLayer> layers;
  uint64_t maxBytes = 64u << 20;
  uint64_t maxEntries = 10'000;

  void add(kj::ArrayPtr<const kj::byte> blob, kj::ArrayPtr<const kj::byte> tar,
           Compression compression) {
    auto orphan = message.getOrphanage().newOrphan<schema::Layer>();
    auto layer = orphan.get();
    layer.setDigest(Digest::of(blob).toString());
    layer.setDiffId(Digest::of(tar).toString());
    layer.setSize(blob.size());
    layer.setCompression(compression);
    auto file = memoryFile();
    writeAt(file, 0, blob);
    layers.add(PackLayer{kj::mv(file), layer.asReader()});
    orphans.add(kj::mv(orphan));
  }
  void add(kj::ArrayPtr<const kj::byte> tar) { add(gzip(tar), tar, Compression::GZIP); }

  void pack(TreeWriter& writer) {
    Progress progress(io.provider->getTimer(), nullptr);
    packLayers(io.provider->getTimer(), layers, writer, maxBytes, maxEntries, progress)
        .wait(io.waitScope);
  }
  std::string squashfs() {
    auto out = memoryFile();
    pack(*makeSquashfsWriter(out));
    return contentOf(out);
  }
  FailureCode packFailure() {
    return failureFrom([&]() { squashfs(); }).code;
  }
  kj::String save(const std::string& bytes) {
    auto path = directory.path("image");
    testing::writeFile(path, kj::arrayPtr(bytes.data(), bytes.size()).asBytes());
    return path;
  }
  std::string listing(const std::string& bytes) {
    auto path = save(bytes);
    return testing::runForOutput({"unsquashfs", "-lln", "-d", "", path}).cStr();
  }

 private:
  kj::Vector<capnp::Orphan<schema::Layer>> orphans;
};

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
    layers.clear();
    add(blob.slice(0, cut), tar, Compression::GZIP);
    EXPECT_EQ(packFailure(), FailureCode::INVALID) << cut;
  }
  kj::Vector<kj::byte> tail;
  tail.addAll(blob);
  tail.addAll("garbage"_kj.asBytes());
  layers.clear();
  add(tail, tar, Compression::GZIP);
  EXPECT_EQ(packFailure(), FailureCode::INVALID);

  auto frame = testing::zstd(tar);
  layers.clear();
  add(frame.slice(0, frame.size() - 4), tar, Compression::ZSTD);
  EXPECT_EQ(packFailure(), FailureCode::INVALID);
}

TEST_F(PackTest, AHugeWindowIsRefused) {
  auto content = kj::heapString(1u << 20);
  memset(content.begin(), 'x', content.size());
  auto tar = TarBuilder().file("a", content).finish();
  add(testing::zstd(tar, 27), tar, Compression::ZSTD);
  EXPECT_EQ(packFailure(), FailureCode::INVALID);
}

TEST_F(PackTest, BothDigestsCount) {
  auto tar = TarBuilder().file("a", "1").finish();
  auto other = TarBuilder().file("a", "2").finish();
  add(gzip(tar), other, Compression::GZIP);
  EXPECT_EQ(packFailure(), FailureCode::DIGEST_MISMATCH);
  layers.clear();
  add(gzip(tar), tar, Compression::GZIP);
  auto bytes = gzip(other);
  KJ_SYSCALL(ftruncate(layers[0].blob, 0));
  writeAt(layers[0].blob, 0, bytes);
  EXPECT_EQ(packFailure(), FailureCode::DIGEST_MISMATCH);
}

TEST_F(PackTest, BombsAreBounded) {
  auto content = kj::heapString(8u << 20);
  memset(content.begin(), 0, content.size());
  add(TarBuilder().file("zeros", content).finish());
  maxBytes = 1u << 20;
  EXPECT_EQ(packFailure(), FailureCode::EXHAUSTED);
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

TEST_F(PackTest, KernelImagesAreTakenApart) {
  struct Outputs {
    kj::AutoCloseFd image = memoryFile();
    kj::AutoCloseFd addons = memoryFile();
    kj::AutoCloseFd boot = memoryFile();
    kj::AutoCloseFd metadata = memoryFile();
    KernelOutputs all() const { return {image, addons, boot, metadata}; }
  };
  auto kernelTar = [](kj::StringPtr image, kj::StringPtr metadata) {
    return TarBuilder()
        .file("kernel/image", image)
        .file("kernel/metadata", metadata)
        .file("kernel/addons.squashfs", "addons")
        .finish();
  };
  auto packed = [&](kj::ArrayPtr<const kj::byte> tar) {
    layers.clear();
    add(tar);
    Outputs outputs;
    auto writer = makeKernelWriter(outputs.all());
    pack(*writer);
    return std::string(writer->kernelVersion().cStr()) + "|" + contentOf(outputs.image) + "|" +
           contentOf(outputs.boot);
  };
  EXPECT_EQ(packed(kernelTar("\177ELF...", "A=b\nKERNEL_VERSION=6.12.1\n")), "6.12.1|\177ELF...|");
  auto code = [&](kj::ArrayPtr<const kj::byte> tar) {
    return failureFrom([&]() { packed(tar); }).code;
  };
  EXPECT_EQ(code(kernelTar("MZ-bzImage", "KERNEL_VERSION=6\n")), FailureCode::UNSUPPORTED);
  EXPECT_EQ(code(kernelTar("\177ELF", "NOTHING=1\n")), FailureCode::INVALID);
  EXPECT_EQ(code(kernelTar("\177ELF", "KERNEL_VERSION=6/../x\n")), FailureCode::INVALID);
  EXPECT_EQ(code(TarBuilder().file("kernel/image", "\177ELF").finish()), FailureCode::INVALID);
  EXPECT_EQ(code(TarBuilder()
                     .symlink("kernel/image", "/etc/shadow")
                     .file("kernel/metadata", "KERNEL_VERSION=6\n")
                     .file("kernel/addons.squashfs", "x")
                     .finish()),
            FailureCode::INVALID);
}

}  // namespace
}  // namespace bulkhead
