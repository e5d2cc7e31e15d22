// SPDX-License-Identifier: Apache-2.0
#include "imaged/store/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <kj/debug.h>

#include "imaged/store/store-directory.h"
#include "services/runtime/failure.h"
#include "services/runtime/files.h"

namespace bulkhead {
namespace {

constexpr size_t kMostIndex = 4u << 20;

}  // namespace

Layout::Layout(kj::AutoCloseFd directory) : directory(makeDirectory(kj::mv(directory))) {}

Layout::Layout(schema::Directory::Client directory) : directory(kj::mv(directory)) {}

kj::Promise<kj::Array<kj::byte>> Layout::index() {
  auto request = directory.openRequest();
  request.setPath("index.json");
  kj::Maybe<kj::AutoCloseFd> file;
  try {
    file = co_await takeFd(request.send().getFile(), "index.json");
  } catch (...) {
    fail(FailureCode::INVALID, "image layout",
         kj::str("the directory has no readable index.json: ",
                 failureOf(kj::getCaughtExceptionAsKj()).message));
  }
  co_return readWholeFile(KJ_ASSERT_NONNULL(file), kMostIndex, "index.json");
}

kj::Promise<kj::AutoCloseFd> Layout::blob(Digest digest) {
  auto request = directory.openRequest();
  request.setPath(kj::str("blobs/", digest.algorithmName(), "/", digest.hex()));
  try {
    co_return co_await takeFd(request.send().getFile(), digest.toString());
  } catch (...) {
    auto problem = failureOf(kj::getCaughtExceptionAsKj());
    fail(FailureCode::NOT_FOUND, digest.toString(),
         kj::str("the layout has no such blob: ", problem.message));
  }
}

kj::Promise<kj::Array<kj::byte>> Layout::document(Digest digest, size_t most) {
  auto file = co_await blob(digest);
  auto bytes = readWholeFile(file, most, digest.toString());
  if (!digest.names(bytes)) {
    fail(FailureCode::DIGEST_MISMATCH, digest.toString(),
         kj::str("the layout's blob has the digest ", Digest::of(bytes, digest.algorithm())));
  }
  co_return bytes;
}

kj::Vector<kj::StringPtr> LayoutRoots::paths() const {
  kj::Vector<kj::StringPtr> paths;
  for (auto& root : roots) paths.add(root.path);
  return paths;
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
