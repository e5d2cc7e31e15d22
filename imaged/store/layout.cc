// SPDX-License-Identifier: Apache-2.0
#include "imaged/store/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <kj/debug.h>

#include "imaged/store/store-directory.h"
#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

constexpr size_t kMostIndex = 4u << 20;

// Negative errno where it fails.
int openBeneath(int directory, kj::StringPtr path, int flags) {
  open_how how{};
  // Not blocking: what was put there may be a pipe.
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC | O_NONBLOCK);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  long fd = syscall(SYS_openat2, directory, path.cStr(), &how, sizeof how);
  return fd < 0 ? -errno : static_cast<int>(fd);
}

}  // namespace

kj::Array<kj::byte> Layout::index() const {
  int fd = openBeneath(directory, "index.json", O_RDONLY);
  if (fd < 0) {
    fail(FailureCode::INVALID, "image layout",
         kj::str("the directory has no readable index.json: ", strerror(-fd)));
  }
  return readWholeFile(kj::AutoCloseFd(fd), kMostIndex, "index.json");
}

kj::AutoCloseFd Layout::blob(const Digest& digest) const {
  int fd = openBeneath(directory, kj::str("blobs/sha256/", digest.hex()), O_RDONLY);
  if (fd < 0) {
    fail(FailureCode::NOT_FOUND, digest.toString(),
         kj::str("the layout has no such blob: ", strerror(-fd)));
  }
  return kj::AutoCloseFd(fd);
}

kj::Array<kj::byte> Layout::document(const Digest& digest, size_t most) const {
  auto bytes = readWholeFile(blob(digest), most, digest.toString());
  auto got = Digest::of(bytes);
  if (got != digest) {
    fail(FailureCode::DIGEST_MISMATCH, digest.toString(),
         kj::str("the layout's blob has the digest ", got));
  }
  return bytes;
}

LayoutRoots::LayoutRoots(kj::ArrayPtr<const kj::String> directories) {
  for (const auto& path : directories) {
    int fd = ::open(path.cStr(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) continue;
    roots.add(Root{kj::str(path), kj::AutoCloseFd(fd)});
  }
}

Layout LayoutRoots::open(const Reference& reference) const {
  for (const auto& root : roots) {
    kj::StringPtr path = reference.directory;
    bool same = path == root.path;
    bool below = path.startsWith(root.path) && path.size() > root.path.size() &&
                 path[root.path.size()] == '/';
    if (!same && !below) continue;
    auto rest = same ? kj::str(".") : kj::str(path.slice(root.path.size() + 1));
    int fd = openBeneath(root.directory, rest, O_RDONLY | O_DIRECTORY);
    if (fd < 0) {
      fail(FailureCode::NOT_FOUND, reference.canonical(),
           kj::str("the layout cannot be opened: ", strerror(-fd)));
    }
    return Layout(kj::AutoCloseFd(fd));
  }
  fail(FailureCode::DENIED, reference.canonical(),
       "the directory is not one that images are read from",
       "add it to layout-directories in imaged.toml, or load the layout by descriptor");
}

}  // namespace bulkhead
