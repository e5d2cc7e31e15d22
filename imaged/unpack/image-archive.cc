// SPDX-License-Identifier: Apache-2.0
#include "imaged/unpack/image-archive.h"

#include <errno.h>
#include <unistd.h>

#include <kj/debug.h>
#include <kj/map.h>

#include "imaged/digest.h"
#include "imaged/file-bytes.h"
#include "imaged/json.h"
#include "imaged/unpack/tar-reader.h"
#include "services/runtime/failure.h"
#include "services/runtime/files.h"

namespace bulkhead {
namespace {

constexpr kj::StringPtr kSubject = "image archive"_kj;
constexpr kj::StringPtr kBlobs = "blobs/"_kj;
constexpr size_t kBuffer = 1u << 20;
constexpr uint64_t kMostMembers = 2048;
constexpr size_t kMostLayers = 200;

// A descriptor's bytes from where it stands.
class DescriptorSource final : public ByteSource {
 public:
  explicit DescriptorSource(int fd) : fd(fd), buffer(kj::heapArray<kj::byte>(kBuffer)) {}

  kj::ArrayPtr<const kj::byte> peek() override {
    while (taken == filled && !ended) {
      ssize_t n = ::read(fd, buffer.begin(), buffer.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) KJ_FAIL_SYSCALL("read", errno);
      ended = n == 0;
      taken = 0;
      filled = static_cast<size_t>(n);
    }
    return buffer.slice(taken, filled);
  }
  void consume(size_t count) override { taken += count; }

 private:
  int fd;
  kj::Array<kj::byte> buffer;
  size_t taken = 0;
  size_t filled = 0;
  bool ended = false;
};

void refuseCompressed(ByteSource& source) {
  auto head = source.peek();
  bool gzip = head.size() > 1 && head[0] == 0x1f && head[1] == 0x8b;
  bool zstd = head.size() > 3 && head[0] == 0x28 && head[1] == 0xb5 && head[2] == 0x2f;
  if (gzip || zstd) {
    fail(FailureCode::UNSUPPORTED, kSubject, "the archive is compressed",
         gzip ? "decompress it first: zcat" : "decompress it first: zstdcat");
  }
}

}  // namespace

kj::Promise<void> readImageArchive(int archive, schema::ArchiveMembers::Client members,
                                   uint64_t maxBytes) {
  DescriptorSource source(archive);
  refuseCompressed(source);
  TarReader reader(source, kSubject);
  uint64_t left = maxBytes;
  for (;;) {
    auto next = reader.next();
    if (next == nullptr) break;
    auto& entry = KJ_ASSERT_NONNULL(next);
    if (reader.count() > kMostMembers) {
      fail(FailureCode::EXHAUSTED, kSubject,
           kj::str("the archive has more than ", kMostMembers, " members"));
    }
    if (entry.type != TarEntry::Type::file) continue;
    if (entry.size > left) {
      fail(FailureCode::EXHAUSTED, kSubject,
           kj::str("the archive's files have more than ", maxBytes, " bytes"));
    }
    left -= entry.size;
    auto create = members.createRequest();
    create.setName(entry.path);
    create.setSize(entry.size);
    auto file = co_await takeFd(create.send().getFile(), entry.path);
    bool is512 = entry.path.startsWith("blobs/sha512/");
    Hash hash(is512 ? DigestAlgorithm::sha512 : DigestAlgorithm::sha256);
    uint64_t position = 0;
    for (;;) {
      auto bytes = reader.content();
      if (bytes.size() == 0) break;
      writeAt(file, position, bytes);
      hash.update(bytes);
      position += bytes.size();
    }
    auto digest = hash.finish();
    bool isBlob = entry.path.startsWith(kBlobs);
    if (isBlob && entry.path != kj::str(kBlobs, digest.algorithmName(), "/", digest.hex())) {
      fail(FailureCode::DIGEST_MISMATCH, kSubject,
           kj::str("the member ", entry.path, " has the digest ", digest));
    }
    auto complete = members.completeRequest();
    auto member = complete.initMember();
    member.setName(entry.path);
    member.setSize(position);
    member.setDigest(digest.toString());
    co_await complete.send();
  }
}

DockerManifest convertDockerManifest(kj::ArrayPtr<const kj::byte> index,
                                     capnp::List<schema::ArchiveMember>::Reader members) {
  auto document = parseJson(index, "manifest.json", kSubject);
  auto images = JsonView(document, "manifest.json", kSubject).items(64);
  if (images.size() != 1) {
    fail(FailureCode::INVALID, kSubject, kj::str("the archive holds ", images.size(), " images"),
         "save one image into an archive");
  }
  auto describe = [&](kj::StringPtr mediaType, kj::StringPtr name) {
    for (auto member : members) {
      if (member.getName() != name) continue;
      return kj::str("{\"mediaType\":\"", mediaType, "\",\"digest\":\"", member.getDigest(),
                     "\",\"size\":", member.getSize(), "}");
    }
    fail(FailureCode::INVALID, kSubject,
         kj::str("manifest.json names ", name, ", which is not there"));
  };
  auto config = images[0].required("Config").text();
  kj::Vector<kj::String> layers;
  for (auto& layer : images[0].required("Layers").items(kMostLayers)) {
    layers.add(describe("application/vnd.oci.image.layer.v1.tar", layer.text()));
  }
  auto manifest = kj::str(
      "{\"schemaVersion\":2,\"mediaType\":\"application/"
      "vnd.oci.image.manifest.v1+json\",\"config\":",
      describe("application/vnd.oci.image.config.v1+json", config), ",\"layers\":[",
      kj::strArray(layers, ","), "]}");
  return DockerManifest{kj::mv(manifest), kj::mv(config)};
}

}  // namespace bulkhead
