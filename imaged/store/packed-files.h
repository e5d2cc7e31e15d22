// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "imaged/store/store-directory.h"
#include "schemas/image-worker.capnp.h"

namespace bulkhead {

// The files of a packed image, beside its record.
constexpr kj::StringPtr kRootFile = "root.squashfs"_kj;
constexpr kj::StringPtr kVerityFile = "root.verity"_kj;  // dm-verity superblock and hash tree
constexpr kj::StringPtr kSystemFile = "system.cpio"_kj;
constexpr kj::StringPtr kDiskFile = "disk.img"_kj;
constexpr kj::StringPtr kKernelFile = "kernel"_kj;
constexpr kj::StringPtr kAddonsFile = "addons.squashfs"_kj;
constexpr kj::StringPtr kBootFile = "boot.cpio"_kj;
constexpr kj::StringPtr kMetadataFile = "metadata"_kj;

// Which of them an image of that type has; the first is what it is for.
kj::ArrayPtr<const kj::StringPtr> packedFiles(schema::ImageType type);

// Makes the files that a worker packs a tree into. Fails with `unsupported` for a type that this
// build does not know.
void fillOutputs(schema::ImageType type, schema::BlockCompression compression, Staging& staging,
                 kj::StringPtr subject, schema::PackOutputs::Builder outputs);

}  // namespace bulkhead
