// SPDX-License-Identifier: Apache-2.0
#include "imaged/testing/store-image.h"

#include <set>

#include <kj/debug.h>

#include "imaged/file-bytes.h"
#include "imaged/store/packed-files.h"
#include "imaged/unpack/verity.h"

namespace bulkhead::testing {
namespace {

kj::ArrayPtr<const kj::byte> bytesOf(const std::string& text) {
  return kj::arrayPtr(text.data(), text.size()).asBytes();
}

void put(int fd, const std::string& text) {
  kj::FdOutputStream(fd).write(text.data(), text.size());
}

}  // namespace

kj::Own<StoredImage> FakeImage::publish(StoreDirectory& directory, ImageIndex& index) const {
  capnp::MallocMessageBuilder message;
  auto record = message.initRoot<record::ImageRecord>();
  auto resolved = record.initResolved();
  auto document = manifest();
  resolved.setManifest(document.asBytes());
  resolved.setManifestDigest(Digest::of(document.asBytes()).toString());
  resolved.setConfigDigest(Digest::of(nullptr).toString());
  auto list = resolved.initLayers(static_cast<uint>(layers.size()));
  kj::Vector<StagedBlob> staged;
  for (uint i = 0; i < list.size(); ++i) {
    auto digest = Digest::of(bytesOf(layers[i]));
    list[i].setDigest(digest.toString());
    list[i].setSize(layers[i].size());
    bool here = index.hasBlob(digest);
    for (const auto& other : staged) here = here || other.name == digest.hex();
    if (here) continue;
    auto file = directory.stageFile();
    put(file->fd(), layers[i]);
    staged.add(StagedBlob{digest.hex(), kj::mv(file)});
  }
  auto packed = "packed " + name;
  auto staging = directory.stage();
  put(staging->create(kRootFile), packed);
  record.setPackedBytes(packed.size());
  auto file = record.initFiles(1)[0];
  file.setName(kRootFile);
  file.setSize(packed.size());
  file.setDigest(Digest::of(bytesOf(packed)).toString());
  return index.publish(*staging, folder(), message, staged);
}

std::string faultsOf(StoreDirectory& directory, ImageIndex& index) {
  std::string faults;
  auto fault = [&](auto&&... parts) { faults += kj::str(parts..., "\n").cStr(); };
  auto check = [&](kj::AutoCloseFd fd, kj::StringPtr digest, uint64_t size, kj::StringPtr what) {
    auto bytes = readWholeFile(fd, 64u << 20, what);
    if (bytes.size() != size || Digest::of(bytes).toString() != digest) {
      fault(what, " is damaged: ", bytes.size(), " of ", size, " bytes");
    }
  };
  if (directory.list("references").size() != index.list().size()) {
    fault("a reference leads to no image");
  }
  if (directory.list("images").size() != index.imageNames().size()) {
    fault("an image cannot be read");
  }
  std::set<std::string> wanted;
  for (const auto& name : index.imageNames()) {
    auto image = KJ_ASSERT_NONNULL(index.findImage(name));
    try {
      for (auto file : image->record().getFiles()) {
        if (file.getDigest().size() == 0) {
          auto record = image->record();
          auto data = directory.openImageFile(name, file.getName());
          auto tree = directory.openImageFile(name, kVerityFile);
          VerityCheck against(data, tree, record.getVeritySalt(), record.getVerityRoot());
          while (against.next()) {
          }
          if (!against.holds()) fault(name, "/", file.getName(), " is not what its tree says");
          continue;
        }
        check(directory.openImageFile(name, file.getName()), file.getDigest(), file.getSize(),
              kj::str(name, "/", file.getName()));
      }
      for (auto layer : image->resolved().getLayers()) {
        auto digest = Digest::parse(layer.getDigest(), name);
        wanted.insert(digest.hex().cStr());
        check(directory.openBlob(digest.hex()), layer.getDigest(), layer.getSize(), digest.hex());
      }
    } catch (...) {
      fault(name, ": ", kj::getCaughtExceptionAsKj().getDescription());
    }
  }
  for (const auto& blob : directory.list("blobs")) {
    if (!wanted.contains(blob.cStr())) fault("nobody needs the layer ", blob);
  }
  return faults;
}

}  // namespace bulkhead::testing
