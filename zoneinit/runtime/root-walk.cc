// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/root-walk.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <kj/debug.h>
#include <kj/vector.h>

#include "services/runtime/failure.h"
#include "zoneinit/runtime/syscalls.h"

namespace bulkhead::zone {
namespace {

constexpr uint64_t kInside = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;

kj::Maybe<kj::AutoCloseFd> openInside(int root, kj::StringPtr path, int flags) {
  int fd = openat2(root, path.size() == 0 ? "." : path.cStr(), flags | O_CLOEXEC, 0, kInside);
  if (fd < 0) return nullptr;
  return kj::AutoCloseFd(fd);
}

// "/a//b/../c" to {"a", "b", "..", "c"}; the kernel decides what ".." means.
kj::Vector<kj::String> components(kj::StringPtr path) {
  kj::Vector<kj::String> parts;
  size_t start = 0;
  for (size_t i = 0; i <= path.size(); ++i) {
    if (i < path.size() && path[i] != '/') continue;
    auto part = path.slice(start, i);
    if (part.size() > 0 && !(part.size() == 1 && part[0] == '.')) parts.add(kj::str(part));
    start = i + 1;
  }
  return parts;
}

// Opens the directory made of the first `count` components, making what is missing one by one.
kj::Maybe<kj::AutoCloseFd> walk(int root, kj::ArrayPtr<const kj::String> parts) {
  kj::String path = kj::str(".");
  for (auto& part : parts) {
    auto next = kj::str(path, "/", part);
    KJ_IF_MAYBE (present, openInside(root, next, O_PATH | O_DIRECTORY)) {
      (void)present;
    } else {
      if (errno != ENOENT) return nullptr;
      KJ_IF_MAYBE (parent, openInside(root, path, O_PATH | O_DIRECTORY)) {
        // A dangling symlink makes this fail with EEXIST, and the walk with it.
        if (mkdirat(*parent, part.cStr(), 0755) != 0) return nullptr;
      } else {
        return nullptr;
      }
    }
    path = kj::mv(next);
  }
  return openInside(root, path, O_PATH | O_DIRECTORY);
}

bool isOfKind(const struct stat& info, TargetKind kind) {
  return kind == TargetKind::directory ? S_ISDIR(info.st_mode) : S_ISREG(info.st_mode);
}

bool makeLast(int parent, const char* name, TargetKind kind) {
  struct stat info{};
  if (fstatat(parent, name, &info, AT_SYMLINK_NOFOLLOW) == 0) {
    if (isOfKind(info, kind)) return true;
    // A directory in place of a file stays unless it is empty: the error then says so.
    if (unlinkat(parent, name, S_ISDIR(info.st_mode) ? AT_REMOVEDIR : 0) != 0) return false;
  } else if (errno != ENOENT) {
    return false;
  }
  if (kind == TargetKind::directory) return mkdirat(parent, name, 0755) == 0;
  int fd = openat(parent, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0644);
  if (fd < 0) return false;
  close(fd);
  return true;
}

}  // namespace

kj::Maybe<kj::AutoCloseFd> mountTarget(int root, kj::StringPtr path, TargetKind kind) {
  auto parts = components(path);
  if (parts.size() == 0) {
    errno = EINVAL;
    return nullptr;
  }
  KJ_IF_MAYBE (parent, walk(root, parts.asPtr().slice(0, parts.size() - 1))) {
    const char* last = parts.back().cStr();
    if (!makeLast(*parent, last, kind)) return nullptr;
    int fd = openat(*parent, last, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return nullptr;
    return kj::AutoCloseFd(fd);
  }
  return nullptr;
}

kj::Maybe<kj::AutoCloseFd> openOrMakeDirectory(int root, kj::StringPtr path) {
  auto parts = components(path);
  return walk(root, parts);
}

kj::Maybe<kj::AutoCloseFd> pathInRoot(int root, kj::StringPtr path) {
  return openInside(root, path, O_PATH);
}

kj::Maybe<kj::String> readFileInRoot(int root, kj::StringPtr path, size_t limit) {
  // Without O_NONBLOCK a named pipe would hold this process for ever.
  KJ_IF_MAYBE (fd, openInside(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY)) {
    struct stat info{};
    if (fstat(*fd, &info) != 0 || !S_ISREG(info.st_mode)) return nullptr;
    kj::Vector<char> content;
    char buffer[4096];
    for (;;) {
      ssize_t n = read(*fd, buffer, sizeof buffer);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return nullptr;
      if (n == 0) break;
      auto got = static_cast<size_t>(n);
      if (content.size() + got > limit) {
        fail(FailureCode::INVALID, path,
             kj::str("the image's file is larger than ", limit, " bytes"));
      }
      content.addAll(kj::ArrayPtr<const char>(buffer, got));
    }
    content.add('\0');
    return kj::String(content.releaseAsArray());
  }
  return nullptr;
}

}  // namespace bulkhead::zone
