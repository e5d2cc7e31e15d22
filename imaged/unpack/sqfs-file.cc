// SPDX-License-Identifier: Apache-2.0
#include "imaged/unpack/sqfs-file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

extern "C" {
#include <sqfs/error.h>
}

#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

constexpr size_t kPiece = 2u << 20;
constexpr uint64_t kPage = 4096;

}  // namespace

void checkSqfs(int result, kj::StringPtr what) {
  if (result == 0) return;
  if (result == SQFS_ERROR_IO && errno == ENOSPC) {
    fail(FailureCode::EXHAUSTED, "image store", "the disk is full");
  }
  KJ_FAIL_REQUIRE("libsquashfs failed", what, result);
}

SqfsFile::SqfsFile(int fd, uint64_t size) : sqfs_file_t{}, fd(fd), end(size) {
  base.destroy = [](sqfs_object_t*) {};
  base.copy = [](const sqfs_object_t*) -> sqfs_object_t* { return nullptr; };
  read_at = [](sqfs_file_t* file, sqfs_u64 offset, void* buffer, size_t count) {
    auto out = kj::arrayPtr(static_cast<kj::byte*>(buffer), count);
    return static_cast<SqfsFile*>(file)->read(offset, out);
  };
  write_at = [](sqfs_file_t* file, sqfs_u64 offset, const void* buffer, size_t count) {
    auto in = kj::arrayPtr(static_cast<const kj::byte*>(buffer), count);
    return static_cast<SqfsFile*>(file)->write(offset, in);
  };
  get_size = [](const sqfs_file_t* file) -> sqfs_u64 {
    return static_cast<const SqfsFile*>(file)->size();
  };
  truncate = [](sqfs_file_t* file, sqfs_u64 size) {
    return static_cast<SqfsFile*>(file)->resize(size);
  };
}

int SqfsFile::read(uint64_t offset, kj::ArrayPtr<kj::byte> out) {
  bool meetsPending = offset < pendingAt + pendingSize && offset + out.size() > pendingAt;
  if (meetsPending) {
    if (int error = flush(); error != 0) return error;
  }
  while (out.size() > 0) {
    ssize_t n = pread(fd, out.begin(), out.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return static_cast<int>(n < 0 ? SQFS_ERROR_IO : SQFS_ERROR_OUT_OF_BOUNDS);
    out = out.slice(static_cast<size_t>(n), out.size());
    offset += static_cast<uint64_t>(n);
  }
  return 0;
}

int SqfsFile::write(uint64_t offset, kj::ArrayPtr<const kj::byte> in) {
  if (pending == nullptr) pending = kj::heapArray<kj::byte>(kPiece);
  end = kj::max(end, offset + in.size());
  bool follows = offset == pendingAt + pendingSize;
  if (!follows || in.size() > pending.size() - pendingSize) {
    if (int error = flush(); error != 0) return error;
    pendingAt = offset;
  }
  if (in.size() > pending.size()) return writeOut(offset, in);
  memcpy(pending.slice(pendingSize, pending.size()).begin(), in.begin(), in.size());
  pendingSize += in.size();
  return 0;
}

int SqfsFile::resize(uint64_t size) {
  if (int error = flush(); error != 0) return error;
  if (ftruncate(fd, static_cast<off_t>(size)) != 0) return static_cast<int>(SQFS_ERROR_IO);
  end = size;
  return 0;
}

int SqfsFile::flush() {
  auto bytes = pending.slice(0, pendingSize);
  uint64_t at = pendingAt;
  pendingAt += pendingSize;
  pendingSize = 0;
  return writeOut(at, bytes);
}

int SqfsFile::writeOut(uint64_t offset, kj::ArrayPtr<const kj::byte> in) const {
  while (in.size() > 0) {
    ssize_t n = pwrite(fd, in.begin(), in.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return static_cast<int>(SQFS_ERROR_IO);
    uint64_t upTo = offset + static_cast<uint64_t>(n);
    // Without the page that the next piece begins in. Only a hint: whether the bytes arrive is for
    // the sync to say.
    if (upTo / kPage * kPage > offset) {
      sync_file_range(fd, static_cast<off_t>(offset),
                      static_cast<off_t>(upTo / kPage * kPage - offset), SYNC_FILE_RANGE_WRITE);
    }
    in = in.slice(static_cast<size_t>(n), in.size());
    offset = upTo;
  }
  return 0;
}

}  // namespace bulkhead
