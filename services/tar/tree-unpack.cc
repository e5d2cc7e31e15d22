// SPDX-License-Identifier: Apache-2.0
#include "services/tar/tree-unpack.h"

#include <archive_entry.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <array>

#include <kj/debug.h>

#include "services/runtime/failure.h"
#include "services/tar/tar-errors.h"

namespace bulkhead {
namespace {

constexpr size_t kBlock = 64 << 10;
constexpr unsigned kPrivilegeBits = 06000;

kj::String shownPath(archive_entry* entry) {
  return printable(kj::StringPtr(archive_entry_pathname(entry)), 4096);
}

class Unpacker {
 public:
  Unpacker(int inputParam, UnpackAs as, kj::Maybe<TopEntry> top)
      : input(inputParam),
        as(as),
        top(kj::mv(top)),
        in(archive_read_new()),
        disk(archive_write_disk_new()) {
    archive_read_support_format_tar(in);
    int flags = ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_TIME | ARCHIVE_EXTRACT_SECURE_SYMLINKS |
                ARCHIVE_EXTRACT_SECURE_NODOTDOT | ARCHIVE_EXTRACT_SECURE_NOABSOLUTEPATHS;
    if (as == UnpackAs::root) flags |= ARCHIVE_EXTRACT_OWNER;
    archive_write_disk_set_options(disk, flags);
    if (archive_read_open_fd(in, input, kBlock) != ARCHIVE_OK) failReading();
  }

  void run() {
    for (;;) {
      archive_entry* entry = nullptr;
      int result = archive_read_next_header(in, &entry);
      if (result == ARCHIVE_EOF) break;
      // Warnings are of names that are no UTF-8: they are kept as the bytes they are.
      if (result < ARCHIVE_WARN) failReading();
      if (archive_entry_pathname(entry) == nullptr) failReading();
      if (prepare(entry)) unpack(entry);
    }
    if (archive_write_close(disk) < ARCHIVE_WARN) failArchive(disk, "archive");
    drain();
  }

 private:
  int input;
  UnpackAs as;
  kj::Maybe<TopEntry> top;
  bool first = true;
  ArchiveHandle in;
  ArchiveHandle disk;

  [[noreturn]] void failReading() {
    const char* text = archive_error_string(in);
    fail(FailureCode::INVALID, "archive",
         kj::str("this is no complete tar archive: ", text == nullptr ? "no name" : text),
         "a compressed one is unpacked first: gunzip, unxz");
  }

  // False for what is left out.
  bool prepare(archive_entry* entry) {
    auto type = archive_entry_filetype(entry);
    KJ_IF_MAYBE (wanted, top) {
      checkKind(*wanted, entry);
      rename(*wanted, entry, archive_entry_pathname(entry));
      if (const char* link = archive_entry_hardlink(entry)) renameLink(*wanted, entry, link);
    }
    first = false;
    if (as == UnpackAs::caller) {
      bool plain = archive_entry_hardlink(entry) != nullptr || type == AE_IFREG ||
                   type == AE_IFDIR || type == AE_IFLNK;
      if (!plain) return false;
      archive_entry_set_perm(entry, archive_entry_perm(entry) & ~kPrivilegeBits);
    }
    // The directory itself is not the archive's.
    kj::StringPtr path = archive_entry_pathname(entry);
    return path != "." && path != "./";
  }

  void checkKind(const TopEntry& wanted, archive_entry* entry) {
    if (!first) return;
    bool directory = archive_entry_filetype(entry) == AE_IFDIR;
    if (wanted.kind == TopEntry::Kind::directory && !directory) {
      fail(FailureCode::INVALID, wanted.name, "there is no such directory",
           "make it first, or name the file without a slash");
    }
    if (wanted.kind == TopEntry::Kind::noDirectory && directory) {
      fail(FailureCode::INVALID, wanted.name, "a directory cannot replace a file");
    }
  }

  // What the path is called under the top entry's own name.
  kj::String renamed(const TopEntry& wanted, kj::StringPtr path) {
    if (path.startsWith(wanted.expected)) {
      auto rest = path.slice(wanted.expected.size());
      if (rest.size() == 0 || rest[0] == '/') return kj::str(wanted.name, rest);
    }
    fail(FailureCode::INVALID, printable(path, 4096),
         kj::str("is not below '", printable(wanted.expected, 256), "', which was asked for"));
  }

  void rename(const TopEntry& wanted, archive_entry* entry, kj::StringPtr path) {
    archive_entry_copy_pathname(entry, renamed(wanted, path).cStr());
  }

  void renameLink(const TopEntry& wanted, archive_entry* entry, kj::StringPtr link) {
    archive_entry_copy_hardlink(entry, renamed(wanted, link).cStr());
  }

  void unpack(archive_entry* entry) {
    auto path = shownPath(entry);
    if (archive_write_header(disk, entry) < ARCHIVE_WARN) failArchive(disk, path);
    if (archive_entry_size(entry) > 0) {
      for (;;) {
        const void* bytes = nullptr;
        size_t count = 0;
        la_int64_t offset = 0;
        int result = archive_read_data_block(in, &bytes, &count, &offset);
        if (result == ARCHIVE_EOF) break;
        if (result < ARCHIVE_WARN) failReading();
        // A full disk is no more than a warning here.
        if (archive_write_data_block(disk, bytes, count, offset) < ARCHIVE_OK) {
          failArchive(disk, path);
        }
      }
    }
    if (archive_write_finish_entry(disk) < ARCHIVE_WARN) failArchive(disk, path);
  }

  // Who writes the padding behind an archive's end must not be hit by a broken pipe.
  void drain() {
    std::array<kj::byte, 4096> rest;
    for (;;) {
      ssize_t count = read(input, rest.data(), rest.size());
      if (count == 0 || (count < 0 && errno != EINTR)) return;
    }
  }
};

}  // namespace

void unpackTree(int input, kj::StringPtr directory, UnpackAs as, kj::Maybe<TopEntry> top) {
  if (chdir(directory.cStr()) != 0) {
    failPath(errno, printable(directory, 4096), "this directory cannot be entered");
  }
  Unpacker(input, as, kj::mv(top)).run();
}

}  // namespace bulkhead
