// SPDX-License-Identifier: Apache-2.0
#include "imaged/read-at.h"

#include <unistd.h>

#include <kj/debug.h>

namespace bulkhead {

void readAt(int fd, uint64_t offset, kj::ArrayPtr<kj::byte> bytes) {
  while (bytes.size() > 0) {
    ssize_t count;
    KJ_SYSCALL(count = pread(fd, bytes.begin(), bytes.size(), static_cast<off_t>(offset)));
    KJ_REQUIRE(count > 0, "the file is shorter than it was");
    offset += static_cast<uint64_t>(count);
    bytes = bytes.slice(static_cast<size_t>(count), bytes.size());
  }
}

}  // namespace bulkhead
