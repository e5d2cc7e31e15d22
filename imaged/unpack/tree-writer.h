// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/io.h>
#include <kj/memory.h>

#include "imaged/unpack/image-tree.h"

namespace bulkhead {

// Makes a merged tree into an output. The calls come in this order: begin, then for every file
// with content, in the order in which the layers hold them, beginFile, append..., endFile; then
// finish. The same tree gives the same bytes.
class TreeWriter {
 public:
  virtual ~TreeWriter() noexcept(false) {}
  virtual void begin(ImageTree& tree) = 0;
  virtual void beginFile(ImageInode& inode) = 0;
  virtual void append(kj::ArrayPtr<const kj::byte> bytes) = 0;
  virtual void endFile() = 0;

  // Returns the bytes written, padding included.
  virtual uint64_t finish() = 0;
};

// A squashfs, zstd-compressed, padded to 4096 bytes. `output` is empty and opened for reading and
// writing; it is borrowed.
kj::Own<TreeWriter> makeSquashfsWriter(int output);

// An initial file system: an uncompressed "newc" archive (Linux,
// Documentation/driver-api/early-userspace/buffer-format.rst).
kj::Own<TreeWriter> makeCpioWriter(int output);

// Where the parts of a kernel image go; borrowed descriptors.
struct KernelOutputs {
  int image;
  int addons;
  int bootArchive;
  int metadata;
};

class KernelWriter : public TreeWriter {
 public:
  // KERNEL_VERSION of the image's metadata. Valid after finish().
  virtual kj::StringPtr kernelVersion() = 0;
};

// Takes a kernel image (/kernel/image, metadata, addons.squashfs, boot.cpio) apart. Fails with
// `invalid` where a part is missing, `unsupported` where the kernel is compressed.
kj::Own<KernelWriter> makeKernelWriter(KernelOutputs outputs);

}  // namespace bulkhead
