// SPDX-License-Identifier: Apache-2.0
// The worker as imaged calls it: the job runs on threads of its own, and the loop stays awake.
#include "imaged/unpack/unpack-worker.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <kj/async-io.h>
#include <kj/debug.h>

#include "imaged/file-bytes.h"
#include "imaged/testing/pack-fixture.h"
#include "imaged/testing/processes.h"
#include "imaged/testing/tar-builder.h"
#include "services/runtime/files.h"

namespace bulkhead {
namespace {

using testing::contentOf;
using testing::failureFrom;
using testing::gzip;
using testing::memoryFile;
using testing::TarBuilder;

class CountingSink final : public schema::ProgressSink::Server {
 public:
  explicit CountingSink(uint& reports) : reports(reports) {}
  kj::Promise<void> report(ReportContext context) override {
    auto progress = context.getParams().getProgress();
    EXPECT_EQ(progress.getPhase(), "pack");
    EXPECT_LE(progress.getDone(), progress.getTotal());
    ++reports;
    return kj::READY_NOW;
  }

 private:
  uint& reports;
};

class UnpackWorkerTest : public ::testing::Test {
 public:
  ~UnpackWorkerTest() noexcept override {}

 protected:
  using Request =
      capnp::Request<schema::UnpackWorker::PackParams, schema::UnpackWorker::PackResults>;

  kj::AsyncIoContext io = kj::setupAsyncIo();
  schema::UnpackWorker::Client worker = kj::heap<UnpackWorkerImpl>(io.provider->getTimer());
  uint reports = 0;

  // One layer of a few MiB.
  Request request(kj::ArrayPtr<const kj::byte> blob, kj::ArrayPtr<const kj::byte> tar,
                  kj::AutoCloseFd file) {
    auto request = worker.packRequest();
    auto input = request.initLayers(1)[0];
    input.setBlob(makeFile(kj::mv(file)));
    auto layer = input.initLayer();
    layer.setDigest(Digest::of(blob).toString());
    layer.setDiffId(Digest::of(tar).toString());
    layer.setSize(blob.size());
    layer.setCompression(schema::Layer::Compression::GZIP);
    request.initLimits().setMaxBytes(64u << 20);
    request.getLimits().setMaxEntries(1000);
    request.setProgress(kj::heap<CountingSink>(reports));
    return request;
  }
  static kj::AutoCloseFd fileOf(kj::ArrayPtr<const kj::byte> bytes) {
    auto file = memoryFile();
    writeAt(file, 0, bytes);
    return file;
  }
  static kj::Array<kj::byte> bigTar() {
    auto content = kj::heapString(20u << 20);
    memset(content.begin(), 'x', content.size());
    return TarBuilder().file("big", content).finish();
  }
};

TEST_F(UnpackWorkerTest, AnImageItsHashTreeAndProgress) {
  testing::TemporaryDirectory directory;
  auto tar = bigTar();
  auto blob = gzip(tar);
  auto image = memoryFile();
  auto tree = memoryFile();
  auto call = request(blob, tar, fileOf(blob));
  auto outputs = call.initOutputs();
  outputs.setSquashfs(makeFile(duplicate(image)));
  outputs.setVerity(makeFile(duplicate(tree)));
  auto response = call.send().wait(io.waitScope);
  auto result = response.getResult();
  auto bytes = contentOf(image);
  auto hashes = contentOf(tree);
  EXPECT_EQ(result.getBytes(), bytes.size());
  EXPECT_EQ(result.getEntries(), 2u);
  EXPECT_EQ(result.getVerityBytes(), hashes.size());
  EXPECT_EQ(result.getVeritySalt().size(), 32u);
  EXPECT_GE(reports, 1u);

  auto save = [&](kj::StringPtr name, const std::string& content) {
    auto path = directory.path(name);
    testing::writeFile(path, kj::arrayPtr(content.data(), content.size()).asBytes());
    return path;
  };
  testing::runCommand({"veritysetup", "verify", save("image", bytes), save("tree", hashes),
                       Digest::fromBytes(result.getVerityRoot()).hex()});
}

TEST_F(UnpackWorkerTest, AHashTreeBelongsToASquashfs) {
  auto tar = TarBuilder().file("f", "x").finish();
  auto blob = gzip(tar);
  auto call = request(blob, tar, fileOf(blob));
  auto outputs = call.initOutputs();
  outputs.setCpio(makeFile(memoryFile()));
  outputs.setVerity(makeFile(memoryFile()));
  EXPECT_EQ(failureFrom([&]() { call.send().wait(io.waitScope); }).code, FailureCode::INVALID);
}

// The caller's own end of the pipe goes with the caller, so the job is never left waiting.
TEST_F(UnpackWorkerTest, ACallerThatGoesAwayEndsTheJob) {
  auto tar = bigTar();
  auto blob = gzip(tar);
  int ends[2];
  KJ_SYSCALL(pipe2(ends, O_CLOEXEC));
  kj::AutoCloseFd news(ends[1]);
  auto call = request(blob, tar, fileOf(blob.slice(0, blob.size() / 2)));
  call.getLayers()[0].setArrival(makeFile(kj::AutoCloseFd(ends[0])));
  call.initOutputs().setSquashfs(makeFile(memoryFile()));
  auto pending = call.send();
  // What is there is read, and nothing more comes.
  EXPECT_FALSE(pending.poll(io.waitScope));
  news = nullptr;
  EXPECT_EQ(failureFrom([&]() { pending.wait(io.waitScope); }).code, FailureCode::INVALID);
}

}  // namespace
}  // namespace bulkhead
