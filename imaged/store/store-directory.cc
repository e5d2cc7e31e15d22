// SPDX-License-Identifier: Apache-2.0
#include "imaged/store/store-directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <kj/debug.h>

#include "imaged/file-bytes.h"
#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

// A record and a reference; the store wrote them itself.
constexpr size_t kMostSmallFile = 64u << 20;

[[noreturn]] void failErrno(kj::StringPtr what, int error) {
  if (error == ENOSPC || error == EDQUOT) {
    fail(FailureCode::EXHAUSTED, "image store", "the disk is full");
  }
  fail(FailureCode::INTERNAL, "image store", kj::str(what, ": ", strerror(error)));
}

kj::AutoCloseFd openBelow(int directory, kj::StringPtr name, int flags, mode_t mode = 0) {
  int raw = openat(directory, name.cStr(), flags | O_CLOEXEC | O_NOFOLLOW, mode);
  if (raw < 0) failErrno(kj::str("cannot open ", name), errno);
  return kj::AutoCloseFd(raw);
}

kj::AutoCloseFd openFolder(int directory, kj::StringPtr name) {
  if (mkdirat(directory, name.cStr(), 0700) != 0 && errno != EEXIST) {
    failErrno(kj::str("cannot make ", name), errno);
  }
  return openBelow(directory, name, O_RDONLY | O_DIRECTORY);
}

void sync(int fd, kj::StringPtr what) {
  // After a failed fsync nobody knows what is on the disk: the thing is given up.
  if (fsync(fd) != 0) failErrno(kj::str("cannot sync ", what), errno);
}

void renameBelow(int from, kj::StringPtr oldName, int to, kj::StringPtr newName, unsigned flags) {
  if (renameat2(from, oldName.cStr(), to, newName.cStr(), flags) != 0) {
    failErrno(kj::str("cannot name ", newName), errno);
  }
}

bool isThere(int directory, kj::StringPtr name) {
  struct stat status;
  return fstatat(directory, name.cStr(), &status, AT_SYMLINK_NOFOLLOW) == 0;
}

kj::Vector<kj::String> names(int directory) {
  // The stream closes the descriptor it is given, and starts where another one left off.
  auto own = openBelow(directory, ".", O_RDONLY | O_DIRECTORY);
  DIR* stream = fdopendir(own.get());
  if (stream == nullptr) failErrno("cannot list", errno);
  own.release();
  KJ_DEFER(closedir(stream));
  kj::Vector<kj::String> result;
  for (;;) {
    errno = 0;
    dirent* entry = readdir(stream);
    if (entry == nullptr) {
      if (errno != 0) failErrno("cannot list", errno);
      return result;
    }
    auto name = kj::StringPtr(entry->d_name);
    if (name != "." && name != "..") result.add(kj::str(name));
  }
}

uint64_t bytesOf(int directory, kj::StringPtr name) {
  struct stat status;
  if (fstatat(directory, name.cStr(), &status, AT_SYMLINK_NOFOLLOW) != 0) return 0;
  return static_cast<uint64_t>(status.st_blocks) * 512;
}

// A file, or a directory of files.
void removeBelow(int directory, kj::StringPtr name) {
  int raw = openat(directory, name.cStr(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  bool isDirectory = raw >= 0;
  if (isDirectory) {
    kj::AutoCloseFd inner(raw);
    for (const auto& file : names(inner)) removeBelow(inner, file);
  }
  if (unlinkat(directory, name.cStr(), isDirectory ? AT_REMOVEDIR : 0) != 0 && errno != ENOENT) {
    failErrno(kj::str("cannot remove ", name), errno);
  }
}

}  // namespace

StagedFile::~StagedFile() noexcept(false) {
  if (!published) removeBelow(parent, name);
}

Staging::~Staging() noexcept(false) {
  if (!published) removeBelow(parent, name);
}

kj::AutoCloseFd Staging::create(kj::StringPtr file) {
  return openBelow(directory, file, O_RDWR | O_CREAT | O_EXCL, 0400);
}

kj::AutoCloseFd Staging::open(kj::StringPtr file) { return openBelow(directory, file, O_RDONLY); }

void Staging::remove(kj::StringPtr file) { removeBelow(directory, file); }

StoreDirectory::StoreDirectory(kj::AutoCloseFd directory)
    : root(kj::mv(directory)),
      blobs(openFolder(root, "blobs")),
      images(openFolder(root, "images")),
      references(openFolder(root, "references")),
      temporary(openFolder(root, "tmp")) {
  if (flock(root, LOCK_EX | LOCK_NB) != 0) {
    fail(FailureCode::BUSY, "image store", "another process has the store open");
  }
  for (const auto& name : names(temporary)) removeBelow(temporary, name);
  sync(root, "the store");
}

int StoreDirectory::folderFd(kj::StringPtr folder) const {
  if (folder == "blobs") return blobs;
  if (folder == "images") return images;
  if (folder == "references") return references;
  KJ_FAIL_REQUIRE("the store has no such folder", folder);
}

kj::String StoreDirectory::temporaryName(kj::StringPtr kind) {
  return kj::str(kind, "-", ++serial);
}

kj::Own<StagedFile> StoreDirectory::stageFile() {
  auto name = temporaryName("blob");
  auto file = openBelow(temporary, name, O_RDWR | O_CREAT | O_EXCL, 0400);
  return kj::heap<StagedFile>(temporary, kj::mv(name), kj::mv(file));
}

kj::Own<Staging> StoreDirectory::stage() {
  auto name = temporaryName("image");
  auto directory = openFolder(temporary, name);
  return kj::heap<Staging>(temporary, kj::mv(name), kj::mv(directory));
}

void StoreDirectory::publishBlobs(kj::ArrayPtr<StagedBlob> staged) {
  if (staged.size() == 0) return;
  for (auto& blob : staged) sync(blob.file->file, blob.name);
  for (auto& blob : staged) {
    renameBelow(temporary, blob.file->name, blobs, blob.name, 0);
    blob.file->published = true;
  }
  sync(blobs, "blobs");
}

void StoreDirectory::publishImage(Staging& staging, kj::StringPtr image) {
  for (const auto& file : names(staging.directory)) {
    auto fd = openBelow(staging.directory, file, O_RDONLY);
    sync(fd, file);
  }
  sync(staging.directory, image);
  // What lay there goes to tmp/ in the same step, and from there with the staging.
  bool replaces = isThere(images, image);
  renameBelow(temporary, staging.name, images, image,
              replaces ? RENAME_EXCHANGE : RENAME_NOREPLACE);
  staging.published = !replaces;
  sync(images, "images");
}

void StoreDirectory::removeImage(kj::StringPtr image) {
  // First it has no name any more; a crash from here on leaves something in tmp/ only.
  auto name = temporaryName("gone");
  renameBelow(images, image, temporary, name, RENAME_NOREPLACE);
  sync(images, "images");
  removeBelow(temporary, name);
}

void StoreDirectory::removeBlobs(kj::ArrayPtr<const kj::String> unwanted) {
  // Not synced: a layer that no image has is cleared at the next start.
  for (const auto& name : unwanted) removeBelow(blobs, name);
}

kj::AutoCloseFd StoreDirectory::openImageFile(kj::StringPtr image, kj::StringPtr file) {
  auto directory = openBelow(images, image, O_RDONLY | O_DIRECTORY);
  return openBelow(directory, file, O_RDONLY);
}

kj::AutoCloseFd StoreDirectory::openBlob(kj::StringPtr name) {
  return openBelow(blobs, name, O_RDONLY);
}

uint64_t StoreDirectory::imageBytes(kj::StringPtr image) {
  auto directory = openBelow(images, image, O_RDONLY | O_DIRECTORY);
  uint64_t bytes = 0;
  for (const auto& file : names(directory)) bytes += bytesOf(directory, file);
  return bytes;
}

uint64_t StoreDirectory::blobBytes(kj::StringPtr name) { return bytesOf(blobs, name); }

int64_t StoreDirectory::lastUse(kj::StringPtr image) {
  struct stat status;
  if (fstatat(images, image.cStr(), &status, AT_SYMLINK_NOFOLLOW) != 0) return 0;
  return status.st_mtim.tv_sec;
}

void StoreDirectory::noteUse(kj::StringPtr image) {
  timespec times[2] = {{0, UTIME_OMIT}, {0, UTIME_NOW}};
  if (utimensat(images, image.cStr(), times, AT_SYMLINK_NOFOLLOW) != 0 && errno != ENOENT) {
    failErrno(kj::str("cannot note the use of ", image), errno);
  }
}

kj::Vector<kj::String> StoreDirectory::list(kj::StringPtr folder) {
  return names(folderFd(folder));
}

kj::Array<kj::byte> StoreDirectory::read(kj::StringPtr folder, kj::StringPtr name) {
  return readWholeFile(openBelow(folderFd(folder), name, O_RDONLY), kMostSmallFile, name);
}

void StoreDirectory::write(kj::StringPtr folder, kj::StringPtr name,
                           kj::ArrayPtr<const kj::byte> bytes) {
  replace(folderFd(folder), name, bytes);
}

kj::Array<kj::byte> StoreDirectory::readRecord(kj::StringPtr image) {
  return readWholeFile(openImageFile(image, kRecordFile), kMostSmallFile, image);
}

void StoreDirectory::writeRecord(kj::StringPtr image, kj::ArrayPtr<const kj::byte> bytes) {
  replace(openBelow(images, image, O_RDONLY | O_DIRECTORY), kRecordFile, bytes);
}

void StoreDirectory::replace(int target, kj::StringPtr name, kj::ArrayPtr<const kj::byte> bytes) {
  auto temporaryFile = temporaryName("file");
  bool named = false;
  KJ_DEFER(if (!named) unlinkat(temporary, temporaryFile.cStr(), 0));
  {
    auto fd = openBelow(temporary, temporaryFile, O_RDWR | O_CREAT | O_EXCL, 0400);
    for (auto rest = bytes; rest.size() > 0;) {
      ssize_t n = ::write(fd, rest.begin(), rest.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) failErrno(kj::str("cannot write ", name), errno);
      rest = rest.slice(static_cast<size_t>(n), rest.size());
    }
    sync(fd, name);
  }
  renameBelow(temporary, temporaryFile, target, name, 0);
  named = true;
  sync(target, name);
}

void StoreDirectory::remove(kj::StringPtr folder, kj::StringPtr name) {
  int directory = folderFd(folder);
  removeBelow(directory, name);
  sync(directory, folder);
}

}  // namespace bulkhead
