// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <kj/debug.h>

#include "imaged/file-bytes.h"
#include "imaged/unpack/tree-writer.h"
#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

constexpr size_t kHeader = 110;
constexpr uint64_t kMostField = 0xffffffff;

uint64_t padded(uint64_t size) { return (size + 3) / 4 * 4; }

uint32_t modeOf(const ImageInode& inode) {
  switch (inode.type) {
    case TarEntry::Type::file:
      return S_IFREG | inode.mode;
    case TarEntry::Type::directory:
      return S_IFDIR | inode.mode;
    case TarEntry::Type::symlink:
      return S_IFLNK | 0777;
    case TarEntry::Type::characterDevice:
      return S_IFCHR | inode.mode;
    case TarEntry::Type::blockDevice:
      return S_IFBLK | inode.mode;
    case TarEntry::Type::fifo:
      return S_IFIFO | inode.mode;
    case TarEntry::Type::hardLink:
      break;
  }
  KJ_UNREACHABLE;
}

// Lays the archive out before the first byte of content arrives: contents come in the order of the
// layers, members stand in the order of their names.
class CpioWriter final : public TreeWriter {
 public:
  explicit CpioWriter(int fd) : fd(fd) {}

  void begin(ImageTree& tree) override {
    layOut(tree.root(), "");
    static const ImageInode kEnd;
    member("TRAILER!!!", kEnd, 0, 1, 0, 0);
    // The kernel takes archives one after the other at multiples of four bytes.
    end = padded(end);
    flush();
    if (ftruncate(fd, static_cast<off_t>(end)) != 0) {
      fail(FailureCode::EXHAUSTED, "image store", kj::str("cannot grow a file: ", strerror(errno)));
    }
  }

  void beginFile(ImageInode& inode) override { at = inode.location; }

  void append(kj::ArrayPtr<const kj::byte> bytes) override {
    writeAt(fd, at, bytes);
    at += bytes.size();
  }

  void endFile() override {}
  uint64_t finish() override { return end; }

 private:
  int fd;
  uint64_t end = 0;
  uint64_t at = 0;
  uint32_t numbers = 0;
  kj::HashMap<const ImageInode*, uint> namesSeen;
  kj::Vector<kj::byte> pending;  // header bytes from `flushed` on
  uint64_t flushed = 0;

  void layOut(ImageNode& directory, kj::StringPtr prefix) {
    for (auto& entry : directory.children) {
      auto& inode = *entry.value->inode;
      auto path = kj::str(prefix, entry.key);
      if (inode.number == 0) inode.number = ++numbers;
      place(inode, path);
      if (entry.value->isDirectory()) layOut(*entry.value, kj::str(path, "/"));
    }
  }

  void place(ImageInode& inode, kj::StringPtr path) {
    if (inode.size > kMostField) {
      fail(FailureCode::INVALID, path, "a file of an initial file system is under 4 GiB");
    }
    // Of several names the last one carries the content, as cpio(1) has it.
    uint& seen = namesSeen.findOrCreate(
        &inode, [&]() { return kj::HashMap<const ImageInode*, uint>::Entry{&inode, 0}; });
    bool last = ++seen >= inode.links || inode.type == TarEntry::Type::directory;
    uint64_t size = last ? inode.size : 0;
    if (inode.type == TarEntry::Type::symlink) size = inode.symlinkTarget.size();
    member(path, inode, modeOf(inode), inode.links, inode.number, size);
    if (inode.type == TarEntry::Type::symlink) {
      add(inode.symlinkTarget.asBytes());
      align();
    } else if (size > 0) {
      flush();
      inode.location = end;
      end = padded(end + size);
      flushed = end;
    }
  }

  void member(kj::StringPtr path, const ImageInode& inode, uint32_t mode, uint links,
              uint32_t number, uint64_t size) {
    char header[kHeader + 1];
    auto time = inode.modified < 0 ? uint64_t{0}
                                   : kj::min(static_cast<uint64_t>(inode.modified), kMostField);
    snprintf(header, sizeof header, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
             number, mode, inode.user, inode.group, links, static_cast<uint32_t>(time),
             static_cast<uint32_t>(size), 0u, 0u, inode.deviceMajor, inode.deviceMinor,
             static_cast<uint32_t>(path.size() + 1), 0u);
    add(kj::arrayPtr(header, kHeader).asBytes());
    add(kj::arrayPtr(path.cStr(), path.size() + 1).asBytes());
    align();
  }

  void add(kj::ArrayPtr<const kj::byte> bytes) {
    pending.addAll(bytes);
    end += bytes.size();
  }
  void align() {
    while (end % 4 != 0) {
      pending.add(kj::byte{0});
      ++end;
    }
  }
  void flush() {
    writeAt(fd, flushed, pending);
    flushed = end;
    pending.clear();
  }
};

}  // namespace

kj::Own<TreeWriter> makeCpioWriter(int output) { return kj::heap<CpioWriter>(output); }

}  // namespace bulkhead
