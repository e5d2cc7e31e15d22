// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <archive.h>

#include <kj/common.h>
#include <kj/string.h>

namespace bulkhead {

// Throws a typed failure for the last error of an archive handle: `exhausted` where there is no
// space, `invalid` where what was asked for cannot be, `internal` with the errno for the rest.
[[noreturn]] void failArchive(archive* handle, kj::StringPtr path);

// The same for an errno. `doing` says what could not be done.
[[noreturn]] void failPath(int error, kj::StringPtr path, kj::StringPtr doing);

// Owns a handle of libarchive, of whatever kind.
class ArchiveHandle {
 public:
  // Fails for want of memory.
  explicit ArchiveHandle(archive* handle);
  ~ArchiveHandle() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(ArchiveHandle);

  operator archive*() const { return handle; }

 private:
  archive* handle;
};

}  // namespace bulkhead
