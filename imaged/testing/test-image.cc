// SPDX-License-Identifier: Apache-2.0
#include "imaged/testing/test-image.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include <kj/debug.h>
#include <kj/io.h>

#include "imaged/testing/tar-builder.h"

namespace bulkhead::testing {

TestImage& TestImage::layer(kj::ArrayPtr<const kj::byte> tar, Compression compression) {
  kj::Array<kj::byte> blob;
  kj::StringPtr mediaType = "application/vnd.oci.image.layer.v1.tar";
  switch (compression) {
    case Compression::none:
      blob = kj::heapArray<kj::byte>(tar.begin(), tar.size());
      break;
    case Compression::gzip:
      blob = gzip(tar);
      mediaType = "application/vnd.oci.image.layer.v1.tar+gzip";
      break;
    case Compression::zstd:
      blob = zstd(tar);
      mediaType = "application/vnd.oci.image.layer.v1.tar+zstd";
      break;
  }
  auto digest = Digest::of(blob, layerDigests);
  layers.add(Layer{kj::mv(blob), digest, Digest::of(tar), mediaType});
  return *this;
}

kj::String TestImage::config() const {
  kj::Vector<kj::String> ids;
  for (const auto& each : layers) ids.add(kj::str("\"", each.diffId, "\""));
  return kj::str("{\"created\":\"2026-01-02T03:04:05Z\",\"os\":\"", os, "\",\"architecture\":\"",
                 architecture, "\",\"config\":", process,
                 ",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[", kj::strArray(ids, ","), "]}}");
}

kj::String TestImage::manifest() const {
  auto text = config();
  kj::Vector<kj::String> list;
  for (const auto& each : layers) {
    list.add(kj::str("{\"mediaType\":\"", each.mediaType, "\",\"digest\":\"", each.digest,
                     "\",\"size\":", each.blob.size(), "}"));
  }
  return kj::str("{\"schemaVersion\":2,",
                 "\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",",
                 "\"config\":{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",",
                 "\"digest\":\"", Digest::of(text.asBytes()), "\",\"size\":", text.size(), "},",
                 "\"layers\":[", kj::strArray(list, ","), "],\"annotations\":", annotations, "}");
}

kj::String TestImage::index(kj::StringPtr tag) const {
  auto text = manifest();
  return kj::str("{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":",
                 "\"application/vnd.oci.image.manifest.v1+json\",\"digest\":\"",
                 Digest::of(text.asBytes()), "\",\"size\":", text.size(),
                 ",\"annotations\":{\"org.opencontainers.image.ref.name\":\"", tag, "\"}}]}");
}

kj::HashMap<kj::String, kj::Array<kj::byte>> TestImage::blobs() const {
  kj::HashMap<kj::String, kj::Array<kj::byte>> result;
  auto put = [&](const Digest& digest, kj::ArrayPtr<const kj::byte> bytes) {
    result.upsert(digest.toString(), kj::heapArray<kj::byte>(bytes.begin(), bytes.size()),
                  [](auto&, auto&&) {});
  };
  for (const auto& each : layers) put(each.digest, each.blob);
  auto configText = config();
  auto manifestText = manifest();
  put(Digest::of(configText.asBytes()), configText.asBytes());
  put(Digest::of(manifestText.asBytes()), manifestText.asBytes());
  return result;
}

void TestImage::writeLayout(kj::StringPtr directory, kj::StringPtr tag) const {
  std::filesystem::create_directories(directory.cStr());
  writeFile(kj::str(directory, "/oci-layout"), "{\"imageLayoutVersion\":\"1.0.0\"}"_kj.asBytes());
  writeFile(kj::str(directory, "/index.json"), index(tag).asBytes());
  for (const auto& blob : blobs()) {
    auto digest = Digest::parse(blob.key, "test");
    auto folder = kj::str(directory, "/blobs/", digest.algorithmName());
    std::filesystem::create_directories(folder.cStr());
    writeFile(kj::str(folder, "/", digest.hex()), blob.value);
  }
}

void writeFile(kj::StringPtr path, kj::ArrayPtr<const kj::byte> bytes) {
  int raw;
  KJ_SYSCALL(raw = open(path.cStr(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644), path);
  kj::FdOutputStream(kj::AutoCloseFd(raw)).write(bytes.begin(), bytes.size());
}

kj::Array<kj::byte> readFile(kj::StringPtr path) {
  int raw;
  KJ_SYSCALL(raw = open(path.cStr(), O_RDONLY | O_CLOEXEC), path);
  return kj::FdInputStream(kj::AutoCloseFd(raw)).readAllBytes();
}

TemporaryDirectory::TemporaryDirectory(kj::StringPtr where) {
  name = kj::str(where, "/bulkhead-imaged-XXXXXX");
  KJ_REQUIRE(mkdtemp(name.begin()) != nullptr, where);
}

TemporaryDirectory::~TemporaryDirectory() { std::filesystem::remove_all(name.cStr()); }

kj::String TemporaryDirectory::makeDirectory(kj::StringPtr below) const {
  auto result = path(below);
  std::filesystem::create_directories(result.cStr());
  return result;
}

}  // namespace bulkhead::testing
