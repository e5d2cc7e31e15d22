// SPDX-License-Identifier: Apache-2.0
#include "imaged/unpack/sqfs-file.h"

#include <errno.h>
#include <unistd.h>

extern "C" {
#include <sqfs/error.h>
}

#include "services/runtime/failure.h"

namespace bulkhead {

void checkSqfs(int result, kj::StringPtr what) {
  if (result == 0) return;
  if (result == SQFS_ERROR_IO && errno == ENOSPC) {
    fail(FailureCode::EXHAUSTED, "image store", "the disk is full");
  }
  KJ_FAIL_REQUIRE("libsquashfs failed", what, result);
}

SqfsFile::SqfsFile(int fd, uint64_t size) : fd(fd), size(size) {
  base.base.destroy = [](sqfs_object_t*) {};
  base.base.copy = [](const sqfs_object_t*) -> sqfs_object_t* { return nullptr; };
  base.read_at = [](sqfs_file_t* file, sqfs_u64 offset, void* buffer, size_t count) {
    auto* self = reinterpret_cast<SqfsFile*>(file);
    auto out = kj::arrayPtr(static_cast<char*>(buffer), count);
    while (out.size() > 0) {
      ssize_t n = pread(self->fd, out.begin(), out.size(), static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return static_cast<int>(n < 0 ? SQFS_ERROR_IO : SQFS_ERROR_OUT_OF_BOUNDS);
      out = out.slice(static_cast<size_t>(n), out.size());
      offset += static_cast<uint64_t>(n);
    }
    return 0;
  };
  base.write_at = [](sqfs_file_t* file, sqfs_u64 offset, const void* buffer, size_t count) {
    auto* self = reinterpret_cast<SqfsFile*>(file);
    auto in = kj::arrayPtr(static_cast<const char*>(buffer), count);
    while (in.size() > 0) {
      ssize_t n = pwrite(self->fd, in.begin(), in.size(), static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return static_cast<int>(SQFS_ERROR_IO);
      in = in.slice(static_cast<size_t>(n), in.size());
      offset += static_cast<uint64_t>(n);
    }
    self->size = kj::max(self->size, offset);
    return 0;
  };
  base.get_size = [](const sqfs_file_t* file) -> sqfs_u64 {
    return reinterpret_cast<const SqfsFile*>(file)->size;
  };
  base.truncate = [](sqfs_file_t* file, sqfs_u64 size) {
    auto* self = reinterpret_cast<SqfsFile*>(file);
    if (ftruncate(self->fd, static_cast<off_t>(size)) != 0) {
      return static_cast<int>(SQFS_ERROR_IO);
    }
    self->size = size;
    return 0;
  };
}

}  // namespace bulkhead
