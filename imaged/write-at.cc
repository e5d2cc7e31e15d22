// SPDX-License-Identifier: Apache-2.0
#include "imaged/write-at.h"

#include <errno.h>
#include <unistd.h>

#include <kj/debug.h>

#include "services/runtime/failure.h"

namespace bulkhead {

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

}  // namespace bulkhead
