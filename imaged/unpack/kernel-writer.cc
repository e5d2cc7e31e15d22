// SPDX-License-Identifier: Apache-2.0
#include <string.h>
#include <unistd.h>

#include <kj/debug.h>

#include "imaged/unpack/tree-writer.h"
#include "imaged/write-at.h"
#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

constexpr uint64_t kMostMetadata = 64u << 10;
constexpr kj::StringPtr kVersionKey = "KERNEL_VERSION="_kj;

enum class Presence { required, optional };

struct Part {
  kj::StringPtr path;
  Presence presence;
  int KernelOutputs::* output;
};
constexpr Part kParts[] = {
    {"kernel/image"_kj, Presence::required, &KernelOutputs::image},
    {"kernel/addons.squashfs"_kj, Presence::required, &KernelOutputs::addons},
    {"kernel/boot.cpio"_kj, Presence::optional, &KernelOutputs::bootArchive},
    {"kernel/metadata"_kj, Presence::required, &KernelOutputs::metadata},
};

bool isVersionCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '-' || c == '_' || c == '+' || c == '~';
}

class Writer final : public KernelWriter {
 public:
  explicit Writer(KernelOutputs outputs) : outputs(outputs) {}

  void begin(ImageTree& tree) override {
    for (const auto& part : kParts) {
      KJ_IF_MAYBE (node, tree.find(part.path)) {
        auto& inode = *node->inode;
        if (inode.type != TarEntry::Type::file) {
          fail(FailureCode::INVALID, part.path, "a kernel image has a plain file here");
        }
        if (part.output == &KernelOutputs::metadata && inode.size > kMostMetadata) {
          fail(FailureCode::INVALID, part.path, "the metadata has more than 64 KiB");
        }
        targets.upsert(&inode, Target{outputs.*part.output, part.path}, [&](Target&, Target&&) {
          fail(FailureCode::INVALID, part.path, "two parts of a kernel image are one file");
        });
        bytes += inode.size;
      } else if (part.presence == Presence::required) {
        fail(FailureCode::INVALID, part.path, "a kernel image must have this file",
             "/kernel/image, /kernel/metadata and /kernel/addons.squashfs make a kernel image");
      }
    }
  }

  void beginFile(ImageInode& inode) override {
    target = nullptr;
    offset = 0;
    KJ_IF_MAYBE (found, targets.find(&inode)) {
      target = *found;
    }
  }

  void append(kj::ArrayPtr<const kj::byte> content) override {
    KJ_IF_MAYBE (to, target) {
      writeAt(to->fd, offset, content);
      offset += content.size();
    }
  }

  void endFile() override {}

  uint64_t finish() override {
    checkKernel();
    version = readVersion();
    return bytes;
  }

  kj::StringPtr kernelVersion() override { return version; }

 private:
  struct Target {
    int fd;
    kj::StringPtr path;
  };

  KernelOutputs outputs;
  kj::HashMap<const ImageInode*, Target> targets;
  kj::Maybe<Target> target;
  uint64_t offset = 0;
  uint64_t bytes = 0;
  kj::String version;

  // Only the form: the canonical layout is for hvd to check.
  void checkKernel() {
    unsigned char head[0x206] = {};
    ssize_t count;
    KJ_SYSCALL(count = pread(outputs.image, head, sizeof head, 0));
    if (count >= 4 && memcmp(head, "\177ELF", 4) == 0) return;
    bool bzImage = count >= 0x206 && memcmp(head + 0x202, "HdrS", 4) == 0;
    fail(FailureCode::UNSUPPORTED, "kernel/image",
         bzImage ? "the kernel is a compressed bzImage" : "the kernel is not an ELF file",
         "put the uncompressed vmlinux into the kernel image");
  }

  kj::String readVersion() {
    auto text = kj::heapArray<char>(kMostMetadata);
    ssize_t count;
    KJ_SYSCALL(count = pread(outputs.metadata, text.begin(), text.size(), 0));
    auto rest = kj::heapString(text.begin(), static_cast<size_t>(count));
    size_t start = 0;
    for (size_t i = 0; i <= rest.size(); ++i) {
      if (i < rest.size() && rest[i] != '\n') continue;
      auto line = kj::str(rest.slice(start, i));
      start = i + 1;
      if (!line.startsWith(kVersionKey)) continue;
      auto value = kj::str(line.slice(kVersionKey.size()));
      bool plain = value.size() > 0 && value.size() <= 64;
      for (char c : value) plain = plain && isVersionCharacter(c);
      if (plain) return value;
      fail(FailureCode::INVALID, "kernel/metadata",
           kj::str("KERNEL_VERSION is '", printable(value, 80), "'"));
    }
    fail(FailureCode::INVALID, "kernel/metadata", "there is no KERNEL_VERSION");
  }
};

}  // namespace

kj::Own<KernelWriter> makeKernelWriter(KernelOutputs outputs) { return kj::heap<Writer>(outputs); }

}  // namespace bulkhead
