// SPDX-License-Identifier: Apache-2.0
#include "imaged/store/packed-files.h"

#include "services/runtime/failure.h"
#include "services/runtime/files.h"

namespace bulkhead {
namespace {

constexpr kj::StringPtr kContainer[] = {kRootFile, kVerityFile};
constexpr kj::StringPtr kSystem[] = {kSystemFile};
constexpr kj::StringPtr kDisk[] = {kDiskFile};
constexpr kj::StringPtr kKernel[] = {kKernelFile, kAddonsFile, kBootFile, kMetadataFile};

}  // namespace

kj::ArrayPtr<const kj::StringPtr> packedFiles(schema::ImageType type) {
  switch (type) {
    case schema::ImageType::CONTAINER:
      return kContainer;
    case schema::ImageType::SYSTEM:
    case schema::ImageType::EXTENSION:
      return kSystem;
    case schema::ImageType::KERNEL:
      return kKernel;
    case schema::ImageType::DISK:
      return kDisk;
  }
  return nullptr;
}

void fillOutputs(schema::ImageType type, schema::BlockCompression compression, Staging& staging,
                 kj::StringPtr subject, schema::PackOutputs::Builder outputs) {
  switch (type) {
    case schema::ImageType::CONTAINER:
      outputs.setCompression(compression);
      outputs.setSquashfs(makeFile(staging.create(kRootFile)));
      outputs.setVerity(makeFile(staging.create(kVerityFile)));
      return;
    case schema::ImageType::SYSTEM:
    case schema::ImageType::EXTENSION:
      outputs.setCpio(makeFile(staging.create(kSystemFile)));
      return;
    case schema::ImageType::KERNEL: {
      auto parts = outputs.initKernel();
      parts.setImage(makeFile(staging.create(kKernelFile)));
      parts.setAddons(makeFile(staging.create(kAddonsFile)));
      parts.setBootArchive(makeFile(staging.create(kBootFile)));
      parts.setMetadata(makeFile(staging.create(kMetadataFile)));
      return;
    }
    case schema::ImageType::DISK:
      break;
  }
  fail(FailureCode::UNSUPPORTED, subject, "this build does not know that type of image");
}

}  // namespace bulkhead
