// SPDX-License-Identifier: Apache-2.0
#include "imaged/file-bytes.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include <kj/debug.h>

#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

constexpr size_t kCopyBuffer = 1u << 20;

}  // namespace

uint64_t sizeOf(int fd) {
  struct stat status;
  KJ_SYSCALL(fstat(fd, &status));
  return static_cast<uint64_t>(status.st_size);
}

size_t readUpTo(int fd, uint64_t offset, kj::ArrayPtr<kj::byte> bytes) {
  auto rest = bytes;
  while (rest.size() > 0) {
    ssize_t count;
    KJ_SYSCALL(count = pread(fd, rest.begin(), rest.size(), static_cast<off_t>(offset)));
    if (count == 0) break;
    offset += static_cast<uint64_t>(count);
    rest = rest.slice(static_cast<size_t>(count), rest.size());
  }
  return bytes.size() - rest.size();
}

void readAt(int fd, uint64_t offset, kj::ArrayPtr<kj::byte> bytes) {
  KJ_REQUIRE(readUpTo(fd, offset, bytes) == bytes.size(), "the file is shorter than it was");
}

kj::Array<kj::byte> readWholeFile(int fd, size_t most, kj::StringPtr what) {
  struct stat status;
  KJ_SYSCALL(fstat(fd, &status), what);
  if (!S_ISREG(status.st_mode)) fail(FailureCode::INVALID, what, "this is not a plain file");
  auto size = static_cast<uint64_t>(status.st_size);
  if (size > most) {
    fail(FailureCode::EXHAUSTED, what,
         kj::str("the file has ", size, " bytes; the limit is ", most));
  }
  auto bytes = kj::heapArray<kj::byte>(size);
  if (readUpTo(fd, 0, bytes) < size) {
    fail(FailureCode::CORRUPT, what, "the file became shorter while it was read");
  }
  return bytes;
}

void writeAt(int fd, uint64_t offset, kj::ArrayPtr<const kj::byte> bytes) {
  while (bytes.size() > 0) {
    ssize_t n = pwrite(fd, bytes.begin(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno == ENOSPC || errno == EDQUOT) {
        fail(FailureCode::EXHAUSTED, "image store", "the disk is full");
      }
      KJ_FAIL_SYSCALL("pwrite", errno);
    }
    bytes = bytes.slice(static_cast<size_t>(n), bytes.size());
    offset += static_cast<uint64_t>(n);
  }
}

void copyWithin(int fd, uint64_t from, uint64_t to, uint64_t length) {
  auto buffer = kj::heapArray<kj::byte>(kj::min(kCopyBuffer, length));
  while (length > 0) {
    auto part = buffer.slice(0, kj::min(buffer.size(), length));
    readAt(fd, from, part);
    writeAt(fd, to, part);
    from += part.size();
    to += part.size();
    length -= part.size();
  }
}

}  // namespace bulkhead
