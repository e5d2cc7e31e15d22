// SPDX-License-Identifier: Apache-2.0
#include "services/tar/tree-pack.h"

#include <archive_entry.h>
#include <errno.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>

#include <kj/array.h>
#include <kj/debug.h>

#include "services/runtime/failure.h"
#include "services/tar/tar-errors.h"

namespace bulkhead {
namespace {

constexpr size_t kBlock = 64 << 10;
constexpr std::array<kj::byte, kBlock> kZeros = {};

class Packer {
 public:
  Packer(kj::StringPtr name, PackOwners owners, int output)
      : name(name), owners(owners), disk(archive_read_disk_new()), out(archive_write_new()) {
    archive_read_disk_set_symlink_physical(disk);
    archive_read_disk_set_behavior(
        disk, ARCHIVE_READDISK_NO_XATTR | ARCHIVE_READDISK_NO_ACL | ARCHIVE_READDISK_NO_FFLAGS);
    archive_write_set_format_pax_restricted(out);
    archive_write_set_bytes_per_block(out, kBlock);
    archive_write_set_bytes_in_last_block(out, 1);
    if (archive_write_open_fd(out, output) != ARCHIVE_OK) failArchive(out, name);
  }

  // `path` is as archive_read_disk takes it and stands for `name`.
  void run(kj::StringPtr path) {
    if (archive_read_disk_open(disk, path.cStr()) != ARCHIVE_OK) failArchive(disk, path);
    archive_entry* entry = archive_entry_new();
    KJ_REQUIRE(entry != nullptr, "no memory for an archive");
    KJ_DEFER(archive_entry_free(entry));
    for (;;) {
      archive_entry_clear(entry);
      int result = archive_read_next_header2(disk, entry);
      if (result == ARCHIVE_EOF) break;
      if (result < ARCHIVE_WARN) {
        // Somebody was quicker and removed it.
        if (result != ARCHIVE_FATAL && archive_errno(disk) == ENOENT) continue;
        failArchive(disk, archive_entry_pathname(entry) == nullptr ? path.cStr()
                                                                   : archive_entry_pathname(entry));
      }
      add(entry, path);
    }
    if (archive_write_close(out) != ARCHIVE_OK) failArchive(out, name);
  }

 private:
  kj::StringPtr name;
  PackOwners owners;
  ArchiveHandle disk;
  ArchiveHandle out;
  kj::Maybe<dev_t> firstDevice;

  void add(archive_entry* entry, kj::StringPtr path) {
    if (archive_entry_filetype(entry) == AE_IFSOCK) return;
    kj::StringPtr found = archive_entry_pathname(entry);
    if (archive_entry_filetype(entry) == AE_IFDIR && !isKernels(entry)) {
      archive_read_disk_descend(disk);
    }
    auto shown = kj::str(name, found.slice(path.size()));
    archive_entry_copy_pathname(entry, shown.cStr());
    if (owners == PackOwners::root) {
      archive_entry_set_uid(entry, 0);
      archive_entry_set_gid(entry, 0);
    }
    if (archive_entry_filetype(entry) != AE_IFREG) archive_entry_set_size(entry, 0);
    // Warnings are of names that are no UTF-8: they are kept as the bytes they are.
    if (archive_write_header(out, entry) < ARCHIVE_WARN) failArchive(out, shown);
    if (archive_entry_size(entry) > 0) copyContent(shown);
    if (archive_write_finish_entry(out) < ARCHIVE_WARN) failArchive(out, shown);
  }

  // Whether a directory is where one of the kernel's file systems is mounted, which has no end.
  bool isKernels(archive_entry* entry) {
    auto device = archive_entry_dev(entry);
    if (firstDevice == nullptr) firstDevice = device;
    if (device == KJ_ASSERT_NONNULL(firstDevice)) return false;
    struct statfs info{};
    const char* source = archive_entry_sourcepath(entry);
    if (source == nullptr || statfs(source, &info) != 0) return false;
    switch (info.f_type) {
      case PROC_SUPER_MAGIC:
      case SYSFS_MAGIC:
      case CGROUP2_SUPER_MAGIC:
      case CGROUP_SUPER_MAGIC:
      case DEVPTS_SUPER_MAGIC:
      case DEBUGFS_MAGIC:
      case TRACEFS_MAGIC:
        return true;
      default:
        return false;
    }
  }

  void write(const void* bytes, size_t count, kj::StringPtr shown) {
    if (archive_write_data(out, bytes, count) < 0) failArchive(out, shown);
  }

  // The archive leaves the holes out by itself, but counts through them.
  void copyContent(kj::StringPtr shown) {
    int64_t written = 0;
    for (;;) {
      const void* bytes = nullptr;
      size_t count = 0;
      la_int64_t offset = 0;
      int result = archive_read_data_block(disk, &bytes, &count, &offset);
      while (written < offset && result != ARCHIVE_EOF) {
        auto zeros = kj::min(offset - written, static_cast<int64_t>(kZeros.size()));
        write(kZeros.data(), static_cast<size_t>(zeros), shown);
        written += zeros;
      }
      if (result == ARCHIVE_EOF) return;
      if (result < ARCHIVE_WARN) failArchive(disk, shown);
      write(bytes, count, shown);
      written += static_cast<int64_t>(count);
    }
  }
};

}  // namespace

kj::String lastPart(kj::StringPtr path) {
  size_t end = path.size();
  while (end > 0 && path[end - 1] == '/') --end;
  size_t start = end;
  while (start > 0 && path[start - 1] != '/') --start;
  auto part = path.slice(start, end);
  if (part.size() == 0) return kj::str(".");
  if (part == ".."_kj.asArray()) {
    fail(FailureCode::INVALID, printable(path, 256), "the last part of the path is '..'",
         "name the directory itself");
  }
  return kj::str(part);
}

void packTree(kj::StringPtr path, kj::StringPtr name, PackOwners owners, int output) {
  auto subject = printable(path, 4096);
  if (path.endsWith("/") || path.endsWith("/.") || path == ".") {
    if (chdir(path.cStr()) != 0) failPath(errno, subject, "cannot be entered");
    Packer(name, owners, output).run(".");
    return;
  }
  struct stat info{};
  if (lstat(path.cStr(), &info) != 0) failPath(errno, subject, "cannot be read");
  Packer(name, owners, output).run(path);
}

}  // namespace bulkhead
