// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/io.h>
#include <kj/memory.h>

#include "imaged/unpack/image-tree.h"
#include "schemas/image-worker.capnp.h"

namespace bulkhead {

// Which member of which layer some content is, both counted from 0.
struct ContentId {
  uint layer;
  uint64_t member;

  bool operator==(const ContentId& other) const = default;
};
inline uint KJ_HASHCODE(const ContentId& id) { return kj::hashCode(id.layer, id.member); }

// Makes a merged tree into an output. The same calls give the same bytes. They come in this order:
//
//  - where the writer takes content before the tree: any number of beginContent, append...,
//    endContent. Some of it may turn out to be in no tree.
//  - begin, with the whole tree;
//  - for every file of the tree whose content is not there yet, in the order in which the layers
//    hold them: beginFile, append..., endFile;
//  - finish.
class TreeWriter {
 public:
  enum class Content { beforeTree, afterTree };

  virtual ~TreeWriter() noexcept(false) {}
  virtual Content takesContent() const { return Content::afterTree; }
  virtual void beginContent(ContentId) { KJ_UNREACHABLE; }
  virtual void endContent() { KJ_UNREACHABLE; }

  virtual void begin(ImageTree& tree) = 0;
  virtual void beginFile(ImageInode& inode) = 0;
  virtual void append(kj::ArrayPtr<const kj::byte> bytes) = 0;
  virtual void endFile() = 0;

  // Returns the bytes written, padding included.
  virtual uint64_t finish() = 0;
};

// A squashfs, compressed on every processor, padded to 4096 bytes. `output` is empty and opened for
// reading and writing; it is borrowed.
kj::Own<TreeWriter> makeSquashfsWriter(int output, schema::BlockCompression compression);

// An initial file system: an uncompressed "newc" archive (Linux,
// Documentation/driver-api/early-userspace/buffer-format.rst), of a size that another one can
// follow at once.
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

// Takes a kernel image (/kernel/image, metadata, addons.squashfs, boot.cpio) apart and makes the
// kernel, however it is packed, into the canonical ELF (kernel-image.h). Fails with `invalid`
// where a part is missing or does not belong to the others, `unsupported` for a kernel of another
// kind.
kj::Own<KernelWriter> makeKernelWriter(KernelOutputs outputs);

}  // namespace bulkhead
