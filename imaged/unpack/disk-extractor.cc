// SPDX-License-Identifier: Apache-2.0
#include "imaged/unpack/disk-extractor.h"

#include <string.h>
#include <unistd.h>

#include <kj/debug.h>

#include "imaged/file-bytes.h"
#include "imaged/unpack/layer-stream.h"
#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

constexpr size_t kBlock = 4096;
constexpr uint64_t kStride = 4u << 20;

// QEMU, docs/interop/qcow2.txt, "Header".
constexpr size_t kHeader = 104;
constexpr uint32_t kMagic = 0x514649fb;
constexpr size_t kBackingFileOffset = 8;
constexpr size_t kIncompatibleFeatures = 72;
constexpr uint64_t kExternalDataFile = 1u << 2;

uint64_t bigEndian(kj::ArrayPtr<const kj::byte> bytes) {
  uint64_t value = 0;
  for (auto byte : bytes) value = value << 8 | byte;
  return value;
}

// What a disk is, from its first bytes. Nothing else of it is looked at.
schema::Image::DiskFormat identify(kj::ArrayPtr<const kj::byte> head, kj::StringPtr name) {
  if (head.size() < kHeader || bigEndian(head.slice(0, 4)) != kMagic) {
    return schema::Image::DiskFormat::RAW;
  }
  auto version = bigEndian(head.slice(4, 8));
  if (version != 2 && version != 3) {
    fail(FailureCode::UNSUPPORTED, name, kj::str("this is qcow2 in version ", version));
  }
  // Such a disk would have whoever opens it read a file that the image names.
  bool external =
      version == 3 &&
      (bigEndian(head.slice(kIncompatibleFeatures, kIncompatibleFeatures + 8)) & kExternalDataFile);
  if (external || bigEndian(head.slice(kBackingFileOffset, kBackingFileOffset + 8)) != 0) {
    fail(FailureCode::INVALID, name, "the qcow2 disk refers to another file");
  }
  return schema::Image::DiskFormat::QCOW2;
}

bool isDiskName(kj::StringPtr path) {
  constexpr auto folder = "disk/"_kj;
  if (!path.startsWith(folder)) return false;
  auto name = path.slice(folder.size());
  return name.findFirst('/') == nullptr &&
         (name.endsWith(".img") || name.endsWith(".raw") || name.endsWith(".qcow2"));
}

bool isFolder(const TarEntry& entry) {
  return entry.type == TarEntry::Type::directory && (entry.path == "" || entry.path == "disk");
}

class SparseFile {
 public:
  explicit SparseFile(int fd) : fd(fd) {}

  void append(kj::ArrayPtr<const kj::byte> bytes) {
    if (head.size() < kHeader) {
      head.addAll(bytes.slice(0, kj::min(bytes.size(), kHeader - head.size())));
    }
    while (bytes.size() > 0) {
      auto length = kj::min(bytes.size(), kBlock - static_cast<size_t>(position % kBlock));
      auto piece = bytes.slice(0, length);
      if (!isZero(piece)) writeAt(fd, position, piece);
      position += length;
      bytes = bytes.slice(length, bytes.size());
    }
  }

  void finish() { KJ_SYSCALL(ftruncate(fd, static_cast<off_t>(position))); }

  uint64_t size() const { return position; }
  kj::ArrayPtr<const kj::byte> firstBytes() const { return head; }

 private:
  int fd;
  uint64_t position = 0;
  kj::Vector<kj::byte> head;

  static bool isZero(kj::ArrayPtr<const kj::byte> bytes) {
    return bytes[0] == 0 &&
           memcmp(bytes.begin(), bytes.slice(1, bytes.size()).begin(), bytes.size() - 1) == 0;
  }
};

}  // namespace

kj::Promise<kj::Maybe<ExtractedDisk>> extractDisk(kj::Timer& timer, int blob,
                                                  schema::Layer::Reader layer, int into,
                                                  uint64_t maxBytes, Progress& progress) {
  ByteBudget budget{maxBytes, maxBytes};
  LayerStream stream(BlobFile{blob}, layer, 1, budget);
  TarReader reader(stream, stream.subject());
  SparseFile disk(into);
  kj::String name;
  for (;;) {
    auto next = reader.next();
    if (next == nullptr) break;
    auto& entry = KJ_ASSERT_NONNULL(next);
    if (isFolder(entry)) continue;
    bool wanted = name.size() == 0 && entry.type == TarEntry::Type::file && isDiskName(entry.path);
    if (!wanted) co_return nullptr;
    name = kj::mv(entry.path);
    uint64_t sincePause = 0;
    for (;;) {
      auto bytes = reader.content();
      if (bytes.size() == 0) break;
      disk.append(bytes);
      sincePause += bytes.size();
      if (sincePause < kStride) continue;
      sincePause = 0;
      progress.report("pack", name, stream.progress(), layer.getSize());
      co_await timer.afterDelay(0 * kj::NANOSECONDS);
    }
  }
  if (name.size() == 0) co_return nullptr;
  stream.verify();
  disk.finish();
  co_return ExtractedDisk{disk.size(), identify(disk.firstBytes(), name)};
}

}  // namespace bulkhead
