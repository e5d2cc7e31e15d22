// SPDX-License-Identifier: Apache-2.0
#include "imaged/read-file.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include <kj/debug.h>

#include "services/runtime/failure.h"

namespace bulkhead {

kj::Array<kj::byte> readWholeFile(int fd, size_t most, kj::StringPtr what) {
  struct stat status;
  if (fstat(fd, &status) != 0) KJ_FAIL_SYSCALL("read", errno, what);
  if (!S_ISREG(status.st_mode)) {
    fail(FailureCode::INVALID, what, "this is not a plain file");
  }
  if (status.st_size < 0 || static_cast<uint64_t>(status.st_size) > most) {
    fail(FailureCode::EXHAUSTED, what,
         kj::str("the file has ", status.st_size, " bytes; the limit is ", most));
  }
  auto bytes = kj::heapArray<kj::byte>(static_cast<size_t>(status.st_size));
  size_t have = 0;
  while (have < bytes.size()) {
    ssize_t n = pread(fd, bytes.slice(have, bytes.size()).begin(), bytes.size() - have,
                      static_cast<off_t>(have));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) KJ_FAIL_SYSCALL("read", errno, what);
    if (n == 0) fail(FailureCode::CORRUPT, what, "the file became shorter while it was read");
    have += static_cast<size_t>(n);
  }
  return bytes;
}

}  // namespace bulkhead
