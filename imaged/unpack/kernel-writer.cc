// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <kj/debug.h>

#include "imaged/file-bytes.h"
#include "imaged/unpack/kernel-elf.h"
#include "imaged/unpack/kernel-modules.h"
#include "imaged/unpack/kernel-payload.h"
#include "imaged/unpack/tree-writer.h"
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
    version = readVersion();
    uint64_t kernel = canonicalise();
    KJ_IF_MAYBE (release, linuxRelease(outputs.image, kernel)) {
      if (*release != version) {
        fail(FailureCode::INVALID, "kernel/image",
             kj::str("the kernel is version ", *release, ", the metadata says ", version));
      }
    } else {
      fail(FailureCode::INVALID, "kernel/image", "the kernel does not say its version");
    }
    requireModulesFor(version, outputs.addons);
    requireBootModulesFor(version, outputs.bootArchive);
    return kernel + sizeOf(outputs.addons) + sizeOf(outputs.bootArchive) + sizeOf(outputs.metadata);
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
  kj::String version;

  // Makes the kernel, however it came, into the canonical ELF; everything happens in its own file,
  // each step behind the one before. Returns its size.
  uint64_t canonicalise() {
    int file = outputs.image;
    FileRange elf{0, sizeOf(file)};
    KJ_IF_MAYBE (payload, findKernelPayload(file, elf.length)) {
      elf = {elf.length, expandKernelPayload(file, *payload, elf.length)};
    }
    uint64_t behind = elf.offset + elf.length;
    uint64_t size = writeCanonicalElf(file, elf, behind);
    cut(file, behind + size);
    copyWithin(file, behind, 0, size);
    cut(file, size);
    return size;
  }

  static void cut(int file, uint64_t size) {
    KJ_SYSCALL(ftruncate(file, static_cast<off_t>(size)));
  }

  kj::String readVersion() {
    auto rest =
        kj::heapString(readWholeFile(outputs.metadata, kMostMetadata, "kernel/metadata").asChars());
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
