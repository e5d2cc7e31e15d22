// SPDX-License-Identifier: Apache-2.0
// What can be done with images that are here: imaged and its workers, as they are shipped.
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include <kj/debug.h>

#include "imaged/testing/failures.h"
#include "imaged/testing/imaged-fixture.h"
#include "imaged/testing/tar-builder.h"
#include "services/client/image-layout.h"

namespace bulkhead::testing {
namespace {

using Result = schema::VerifyReport::Result;

class ImageTest : public ImagedTest {
 public:
  ~ImageTest() noexcept override {}

 protected:
  void SetUp() override { startImaged(config()); }

  kj::String config(kj::StringPtr more = "") {
    return kj::str("layout-directories = [\"", directory.makeDirectory("layouts"), "\"]\n", more);
  }

  static TestImage container() {
    TestImage image;
    image.process = kj::str("{\"Cmd\":[\"/bin/app\"]}");
    image.layer(TarBuilder().directory("bin").file("bin/app", "one", 0755).finish());
    image.layer(TarBuilder().file("etc", "two").finish(), TestImage::Compression::zstd);
    return image;
  }

  // A layout below a configured directory; its reference.
  kj::String layout(const TestImage& image, kj::StringPtr name) {
    auto path = directory.makeDirectory(kj::str("layouts/", name));
    image.writeLayout(path, "1");
    return kj::str("oci:", path, ":1");
  }

  // Subject and result of everything that is not intact.
  std::string problems(schema::Image::Client image) {
    std::string text;
    auto response = image.verifyRequest().send().wait(io.waitScope);
    EXPECT_GT(response.getReport().getChecks().size(), 4u);
    for (auto check : response.getReport().getChecks()) {
      if (check.getResult() == Result::INTACT) continue;
      text += kj::str(check.getSubject(), "=", static_cast<int>(check.getResult()), " ").cStr();
    }
    return text;
  }

  kj::String stateOf(schema::Image::Client image, kj::StringPtr file) {
    auto info = image.infoRequest().send().wait(io.waitScope);
    auto digest = Digest::parse(info.getInfo().getManifestDigest(), "test");
    return directory.path(kj::str("state/images/", digest.hex(), "/", file));
  }

  kj::AutoCloseFd openFile(kj::StringPtr path, int flags = O_RDONLY) {
    int raw;
    KJ_SYSCALL(raw = ::open(path.cStr(), flags | O_CLOEXEC, 0600), path);
    return kj::AutoCloseFd(raw);
  }

  // Imports what a descriptor yields, as a client does.
  schema::Image::Client importFrom(int source, kj::StringPtr reference) {
    auto keeper = store().keeperRequest().send().getKeeper();
    kj::Maybe<schema::ImageImport::Client> work;
    kj::Own<kj::AsyncOutputStream> output;
    {
      auto request = keeper.importArchiveRequest();
      request.setReference(reference);
      auto response = request.send().wait(io.waitScope);
      auto fd = takeFd(response.getInput(), "input").wait(io.waitScope);
      output = io.lowLevelProvider->wrapOutputFd(kj::mv(fd),
                                                 kj::LowLevelAsyncIoProvider::TAKE_OWNERSHIP |
                                                     kj::LowLevelAsyncIoProvider::ALREADY_CLOEXEC);
      work = response.getWork();
    }
    auto finished = KJ_ASSERT_NONNULL(work).finishRequest().send();
    sendArchive(*io.lowLevelProvider, source, kj::mv(output))
        .catch_([](kj::Exception&&) {})
        .wait(io.waitScope);
    return finished.wait(io.waitScope).getImage();
  }

  uint64_t used() {
    auto usage = store().keeperRequest().send().getKeeper().usageRequest().send();
    return usage.wait(io.waitScope).getUsage().getUsedBytes();
  }
};

TEST_F(ImageTest, ACachedImageNeedsNoWorker) {
  auto name = layout(container(), "app");
  pull(name);
  auto before = unpackWorkers();
  EXPECT_GT(before, 0u);
  pull(name).rootFileSystemRequest().send().wait(io.waitScope);
  EXPECT_EQ(unpackWorkers(), before);
}

// Twice as many descriptors would be on their way as one message carries.
TEST_F(ImageTest, AsManyLayersAsAnImageMayHave) {
  constexpr uint kLayers = 200;
  TestImage image;
  for (uint i = 0; i < kLayers; ++i) {
    image.layer(TarBuilder().file(kj::str("f", i), kj::str(i)).finish());
  }
  auto pulled = pull(layout(image, "many"));
  EXPECT_EQ(readRoot(pulled, "f0"), "0");
  EXPECT_EQ(readRoot(pulled, "f199"), "199");
  EXPECT_EQ(problems(pulled), "");
}

TEST_F(ImageTest, DetailsSayWhatIsStored) {
  auto image = pull(layout(container(), "app"));
  auto response = image.detailsRequest().send().wait(io.waitScope);
  auto details = response.getDetails();
  ASSERT_EQ(details.getLayers().size(), 2u);
  EXPECT_EQ(details.getLayers()[0].getCompression(), "gzip");
  EXPECT_TRUE(details.getLayers()[1].getStored());
  ASSERT_EQ(details.getPacked().size(), 2u);
  EXPECT_EQ(details.getPacked()[1].getName(), "root.verity");
  auto verity = image.verityTreeRequest().send().wait(io.waitScope);
  EXPECT_EQ(verity.getRootHash().size(), 32u);
  auto tree = takeFd(verity.getTree(), "tree").wait(io.waitScope);
  char superblock[6];
  EXPECT_EQ(pread(tree, superblock, sizeof superblock, 0), 6);
  EXPECT_EQ(std::string(superblock, 6), "verity");
  EXPECT_EQ(details.getPacked()[0].getName(), "root.squashfs");
  EXPECT_EQ(details.getPacked()[0].getSize() % 4096, 0u);
  EXPECT_EQ(details.getSignature().getKind(), schema::ImageSignature::Kind::UNCHECKED);
  auto info = image.infoRequest().send().wait(io.waitScope);
  EXPECT_EQ(info.getInfo().getHolders(), 1u);
  EXPECT_GT(info.getInfo().getStoredBytes(), 0u);
}

TEST_F(ImageTest, VerifyFindsWhatIsDamagedAndThePullRepairsIt) {
  auto name = layout(container(), "app");
  auto image = pull(name);
  EXPECT_EQ(problems(image), "");
  auto root = stateOf(image, "root.squashfs");
  {
    KJ_SYSCALL(chmod(root.cStr(), 0600));
    auto file = openFile(root, O_WRONLY);
    KJ_SYSCALL(pwrite(file, "x", 1, 4000));
  }
  EXPECT_EQ(problems(image), "root.squashfs=1 ");
  EXPECT_EQ(problems(pull(name)), "");

  auto layers = image.detailsRequest().send().wait(io.waitScope);
  auto layer = layers.getDetails().getLayers()[0].getDigest();
  auto blob = directory.path(kj::str("state/blobs/", layer.slice(strlen("sha256:"))));
  KJ_SYSCALL(unlink(blob.cStr()));
  EXPECT_EQ(problems(image), kj::str("layer ", layer, "=2 ").cStr());
  EXPECT_EQ(problems(pull(name)), "");
}

TEST_F(ImageTest, WhatIsHeldIsNotCollected) {
  auto name = layout(container(), "app");
  kj::Maybe<schema::Image::Client> image = pull(name);
  auto info = KJ_ASSERT_NONNULL(image).infoRequest().send().wait(io.waitScope);
  auto digest = kj::str(info.getInfo().getManifestDigest());
  auto remove = store().removeRequest();
  remove.setReference(name);
  remove.send().wait(io.waitScope);
  EXPECT_GT(used(), 0u);
  auto lease = [&]() {
    auto request = store().leaseRequest();
    request.setManifestDigest(digest);
    return request.send().wait(io.waitScope).getImage();
  };
  {
    auto second = lease();
    EXPECT_EQ(readRoot(second, "etc"), "two");
    image = nullptr;
    store().pruneRequest().send().wait(io.waitScope);
    EXPECT_GT(used(), 0u);
  }
  // Whoever held it finds it again after a restart, its own or imaged's.
  lease();
  stopImaged(SIGKILL);
  startImaged(config());
  {
    auto again = lease();
    store().pruneRequest().send().wait(io.waitScope);
    EXPECT_EQ(readRoot(again, "etc"), "two");
  }
  store().pruneRequest().send().wait(io.waitScope);
  EXPECT_EQ(used(), 0u);
  EXPECT_EQ(failureFrom([&]() { lease(); }).code, FailureCode::NOT_FOUND);
}

TEST_F(ImageTest, TheQuotaMakesRoomAndSaysWhenItCannot) {
  auto old = layout(container(), "old");
  pull(old);
  auto one = used();
  stopImaged(SIGTERM);
  startImaged(config(kj::str("[store]\nquota = ", one + one / 2, "\n")));
  auto other = container();
  other.layer(TarBuilder().file("more", "x").finish());
  auto fresh = layout(other, "fresh");
  {
    auto held = pull(old, schema::PullPolicy::NEVER);
    auto failed = pullFailure(fresh);
    EXPECT_EQ(failed.code, FailureCode::EXHAUSTED);
    EXPECT_TRUE(says(failed, "quota")) << failed.describe().cStr();
  }
  EXPECT_EQ(readRoot(pull(fresh), "more"), "x");
  EXPECT_EQ(pullFailure(old, schema::PullPolicy::NEVER).code, FailureCode::NOT_FOUND);
}

TEST_F(ImageTest, ExportAndImportKeepEveryByte) {
  auto image = pull(layout(container(), "app"));
  auto info = image.infoRequest().send().wait(io.waitScope);
  auto digest = kj::str(info.getInfo().getManifestDigest());
  auto path = directory.makeDirectory("exported");
  auto folder = openFile(path, O_RDONLY | O_DIRECTORY);
  writeLayoutDirectory(image, kj::str("v1"), folder).wait(io.waitScope);
  auto tar = openFile(directory.path("exported.tar"), O_RDWR | O_CREAT);
  writeLayoutArchive(image, kj::str("v1"), tar).wait(io.waitScope);

  // Others read both.
  kj::String sources[] = {kj::str("oci:", path, ":v1"),
                          kj::str("oci-archive:", directory.path("exported.tar"), ":v1")};
  for (const auto& source : sources) {
    auto manifest = runForOutput({"skopeo", "inspect", "--raw", source});
    EXPECT_EQ(Digest::of(manifest.asBytes()).toString(), digest) << source.cStr();
  }
  // So do we.
  KJ_SYSCALL(lseek(tar, 0, SEEK_SET));
  for (int source : {folder.get(), tar.get()}) {
    auto again = importFrom(source, "localhost/again:1");
    EXPECT_EQ(readRoot(again, "etc"), "two");
    EXPECT_EQ(problems(again), "");
    auto its = again.infoRequest().send().wait(io.waitScope);
    EXPECT_EQ(its.getInfo().getManifestDigest(), digest);
  }
  EXPECT_EQ(readRoot(pull("localhost/again:1", schema::PullPolicy::NEVER), "bin/app"), "one");
}

// Their names do not fit into a plain header.
TEST_F(ImageTest, ExportAndImportKeepLayersNamedBySha512) {
  TestImage own;
  own.layerDigests = DigestAlgorithm::sha512;
  own.layer(TarBuilder().file("etc", "two").finish());
  auto image = pull(layout(own, "app"));
  auto tar = openFile(directory.path("exported.tar"), O_RDWR | O_CREAT);
  writeLayoutArchive(image, kj::str("v1"), tar).wait(io.waitScope);
  KJ_SYSCALL(lseek(tar, 0, SEEK_SET));
  auto again = importFrom(tar, "localhost/again:1");
  EXPECT_EQ(readRoot(again, "etc"), "two");
  EXPECT_EQ(problems(again), "");
  auto listing = runForOutput({"tar", "-tf", directory.path("exported.tar")});
  EXPECT_TRUE(strstr(listing.cStr(), "blobs/sha512/") != nullptr) << listing.cStr();
}

TEST_F(ImageTest, ImportsWhatSkopeoSaves) {
  auto name = layout(container(), "app");
  for (kj::StringPtr form : {"docker-archive", "oci-archive"}) {
    auto tar = directory.path(kj::str(form, ".tar"));
    runCommand({"skopeo", "copy", "--quiet", "--insecure-policy", name,
                kj::str(form, ":", tar, ":saved:1")});
    auto image = importFrom(openFile(tar), kj::str("localhost/", form, ":1"));
    EXPECT_EQ(readRoot(image, "bin/app"), "one") << form.cStr();
    EXPECT_EQ(readRoot(image, "etc"), "two") << form.cStr();
    EXPECT_EQ(problems(image), "") << form.cStr();
  }
}

TEST_F(ImageTest, ABadArchiveIsRefusedAndLeavesNothing) {
  auto import = [&](kj::Array<kj::byte> bytes) {
    writeFile(directory.path("bad.tar"), bytes);
    return failureFrom([&]() { importFrom(openFile(directory.path("bad.tar")), "localhost/x:1"); });
  };
  EXPECT_EQ(import(TarBuilder().file("f", "x").finish()).code, FailureCode::INVALID);
  auto wrong = kj::str("blobs/sha256/", Digest::of(nullptr).hex());
  EXPECT_EQ(import(TarBuilder().file(wrong, "other").finish()).code, FailureCode::DIGEST_MISMATCH);
  EXPECT_EQ(import(gzip(TarBuilder().file("index.json", "{}").finish())).code,
            FailureCode::UNSUPPORTED);
  EXPECT_EQ(import(TarBuilder().file("manifest.json", "[{}]").finish()).code, FailureCode::INVALID);
  EXPECT_EQ(import(TarBuilder().file("index.json", "{}").cutOff()).code, FailureCode::INVALID);
  EXPECT_EQ(used(), 0u);
  auto tmp = directory.path("state/tmp");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(tmp.cStr()),
                          std::filesystem::directory_iterator()),
            0);
}

// A directory of a client's own whose files never end, or who has gone.
class BadDirectory final : public schema::Directory::Server {
 public:
  explicit BadDirectory(kj::Function<kj::Promise<kj::AutoCloseFd>()> open) : answer(kj::mv(open)) {}
  kj::Promise<void> open(OpenContext context) override {
    context.getResults().setFile(makeFile(co_await answer()));
  }

 private:
  kj::Function<kj::Promise<kj::AutoCloseFd>()> answer;
};

TEST_F(ImageTest, AClientsLayoutCannotHoldAnybodyUp) {
  auto import = [&](kj::Function<kj::Promise<kj::AutoCloseFd>()> open) {
    auto request = store().importLayoutRequest();
    request.setReference("localhost/x:1");
    request.setLayout(kj::heap<BadDirectory>(kj::mv(open)));
    return failureFrom([&]() { request.send().wait(io.waitScope); });
  };
  // A socket is no file; whoever reads it is a worker.
  auto socket = import([]() -> kj::Promise<kj::AutoCloseFd> {
    int ends[2];
    KJ_SYSCALL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
    kj::AutoCloseFd other(ends[1]);
    return kj::AutoCloseFd(ends[0]);
  });
  EXPECT_EQ(socket.code, FailureCode::INVALID) << socket.describe().cStr();
  auto gone = import([]() -> kj::Promise<kj::AutoCloseFd> {
    return KJ_EXCEPTION(DISCONNECTED, "the client's server is gone");
  });
  EXPECT_EQ(gone.code, FailureCode::CANCELLED) << gone.describe().cStr();
  auto denied = import([]() -> kj::Promise<kj::AutoCloseFd> {
    return failure(FailureCode::DENIED, "f", "not for you").toException();
  });
  EXPECT_EQ(denied.code, FailureCode::DENIED) << denied.describe().cStr();
}

// --- disks of virtual machines -------------------------------------------------------------------

std::string qcow2(uint64_t backingFile) {
  std::string disk(65536, 0);
  memcpy(disk.data(), "QFI\xfb\0\0\0\3", 8);
  for (int i = 0; i < 8; ++i) {
    disk[8 + static_cast<size_t>(i)] = static_cast<char>(backingFile >> (56 - 8 * i));
  }
  return disk;
}

TEST_F(ImageTest, ADiskIsRecognisedAndOffered) {
  std::string raw(3u << 20, 0);
  raw.replace(1u << 20, 4, "data");
  struct Case {
    const char* name;
    std::string bytes;
    schema::Image::DiskFormat format;
  };
  for (auto& each : {Case{"raw", raw, schema::Image::DiskFormat::RAW},
                     Case{"qcow2", qcow2(0), schema::Image::DiskFormat::QCOW2}}) {
    TestImage disk;
    disk.layer(TarBuilder().directory("disk").file("disk/vm.img", each.bytes).finish());
    auto image = pull(layout(disk, each.name));
    auto info = image.infoRequest().send().wait(io.waitScope);
    EXPECT_EQ(info.getInfo().getType(), schema::ImageType::DISK);
    EXPECT_EQ(info.getInfo().getPackedBytes(), each.bytes.size());
    auto block = image.blockImageRequest().send().wait(io.waitScope);
    EXPECT_EQ(block.getFormat(), each.format);
    auto fd = takeFd(block.getFile(), "disk").wait(io.waitScope);
    std::string got(each.bytes.size(), 'x');
    EXPECT_EQ(pread(fd, got.data(), got.size(), 0), static_cast<ssize_t>(got.size()));
    EXPECT_TRUE(got == each.bytes);
    EXPECT_EQ(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
    EXPECT_EQ(problems(image), "");
    // It is no container.
    EXPECT_EQ(failureFrom([&]() { image.rootFileSystemRequest().send().wait(io.waitScope); }).code,
              FailureCode::INVALID);
    if (each.format != schema::Image::DiskFormat::RAW) continue;
    struct stat status;
    KJ_SYSCALL(fstat(fd, &status));
    EXPECT_LT(status.st_blocks * 512, 1 << 20) << "zeros are holes";
  }
}

TEST_F(ImageTest, ADiskThatNamesAnotherFileIsRefused) {
  TestImage disk;
  disk.layer(TarBuilder().file("disk/vm.qcow2", qcow2(512)).finish());
  EXPECT_EQ(pullFailure(layout(disk, "backed")).code, FailureCode::INVALID);
}

TEST_F(ImageTest, WhatOnlyResemblesADiskIsAContainer) {
  TestImage image;
  image.layer(TarBuilder().file("disk/vm.img", "x").file("etc", "y").finish());
  auto pulled = pull(layout(image, "more"));
  EXPECT_EQ(readRoot(pulled, "disk/vm.img"), "x");
  EXPECT_EQ(problems(pulled), "");
  TestImage claimed;
  claimed.annotations = kj::str("{\"org.bulkhead.image.type\":\"disk\"}");
  claimed.layer(TarBuilder().file("etc", "y").finish());
  EXPECT_EQ(pullFailure(layout(claimed, "claimed")).code, FailureCode::INVALID);
}

}  // namespace
}  // namespace bulkhead::testing
