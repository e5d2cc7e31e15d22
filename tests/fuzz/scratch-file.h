// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <kj/debug.h>
#include <kj/io.h>

namespace bulkhead::fuzz {

// A file in memory, for parsers that read files. One serves a whole run.
class ScratchFile {
 public:
  ScratchFile() {
    int raw;
    KJ_SYSCALL(raw = memfd_create("fuzz", MFD_CLOEXEC));
    fd = kj::AutoCloseFd(raw);
  }

  // The file with exactly these bytes.
  int holding(kj::ArrayPtr<const kj::byte> bytes) {
    KJ_SYSCALL(ftruncate(fd, 0));
    ssize_t written;
    KJ_SYSCALL(written = pwrite(fd, bytes.begin(), bytes.size(), 0));
    KJ_ASSERT(static_cast<size_t>(written) == bytes.size());
    return fd;
  }

 private:
  kj::AutoCloseFd fd;
};

}  // namespace bulkhead::fuzz
