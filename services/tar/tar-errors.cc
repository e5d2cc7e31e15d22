// SPDX-License-Identifier: Apache-2.0
#include "services/tar/tar-errors.h"

#include <errno.h>
#include <string.h>

#include <kj/debug.h>

#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

FailureCode codeOf(int error) {
  switch (error) {
    case ENOENT:
      return FailureCode::NOT_FOUND;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case EMLINK:
      return FailureCode::EXHAUSTED;
    case EPIPE:
      return FailureCode::CANCELLED;
    case ENOTDIR:
    case EISDIR:
    case ENOTEMPTY:
    case EEXIST:
    case ELOOP:
    case EROFS:
    case ENAMETOOLONG:
    case EPERM:
    case EACCES:
      return FailureCode::INVALID;
    default:
      return FailureCode::INTERNAL;
  }
}

}  // namespace

void failArchive(archive* handle, kj::StringPtr path) {
  int error = archive_errno(handle);
  const char* text = archive_error_string(handle);
  kj::StringPtr message = text == nullptr ? "the archive cannot be worked on"_kj : text;
  // What is no errno is what libarchive itself refuses: "..", links in the way.
  if (error <= 0) fail(FailureCode::INVALID, path, message);
  fail(codeOf(error), path, kj::str(message, " (errno ", error, ")"));
}

void failPath(int error, kj::StringPtr path, kj::StringPtr doing) {
  fail(codeOf(error), path, kj::str(doing, ": ", strerror(error), " (errno ", error, ")"));
}

ArchiveHandle::ArchiveHandle(archive* handle) : handle(handle) {
  KJ_REQUIRE(handle != nullptr, "no memory for an archive");
}

ArchiveHandle::~ArchiveHandle() noexcept(false) { archive_free(handle); }

}  // namespace bulkhead
