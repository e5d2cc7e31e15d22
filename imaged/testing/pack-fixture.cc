// SPDX-License-Identifier: Apache-2.0
#include "imaged/testing/pack-fixture.h"

#include <sys/mman.h>
#include <unistd.h>

#include <kj/debug.h>

#include "imaged/file-bytes.h"
#include "imaged/testing/processes.h"
#include "imaged/testing/tar-builder.h"

namespace bulkhead::testing {
namespace {

class Unheard final : public PackObserver {
 public:
  void packing(kj::StringPtr, uint64_t, uint64_t) override {}
};

}  // namespace

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

void PackTest::add(kj::ArrayPtr<const kj::byte> blob, kj::ArrayPtr<const kj::byte> tar,
                   Compression compression) {
  auto orphan = message->getOrphanage().newOrphan<schema::Layer>();
  auto layer = orphan.get();
  layer.setDigest(Digest::of(blob).toString());
  layer.setDiffId(Digest::of(tar).toString());
  layer.setSize(blob.size());
  layer.setCompression(compression);
  auto file = memoryFile();
  writeAt(file, 0, blob);
  layers.add(PackLayer{kj::mv(file), nullptr, layer.asReader()});
  orphans.add(kj::mv(orphan));
}

void PackTest::add(kj::ArrayPtr<const kj::byte> tar) { add(gzip(tar), tar, Compression::GZIP); }

void PackTest::clear() {
  layers.clear();
  orphans.clear();
  message = kj::heap<capnp::MallocMessageBuilder>();
}

PackOutcome PackTest::pack(TreeWriter& writer) {
  Unheard nobody;
  return packLayers(layers, writer, bounds, nobody);
}

std::string PackTest::squashfs(schema::BlockCompression blocks) {
  auto out = memoryFile();
  pack(*makeSquashfsWriter(out, blocks));
  return contentOf(out);
}

Failure PackTest::packFailure() {
  return failureFrom([&]() { squashfs(); });
}

kj::String PackTest::save(const std::string& bytes) {
  auto path = directory.path("image");
  writeFile(path, kj::arrayPtr(bytes.data(), bytes.size()).asBytes());
  return path;
}

std::string PackTest::listing(const std::string& bytes) {
  auto path = save(bytes);
  return runForOutput({"unsquashfs", "-lln", "-d", "", path}).cStr();
}

}  // namespace bulkhead::testing
