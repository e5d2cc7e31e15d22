// SPDX-License-Identifier: Apache-2.0
#include "imaged/store/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <kj/debug.h>

#include "services/runtime/failure.h"
#include "services/runtime/files.h"

namespace bulkhead {
namespace {

constexpr size_t kMostIndex = 4u << 20;

}  // namespace

Layout::Layout(kj::AutoCloseFd directory) : directory(makeDirectory(kj::mv(directory))) {}

Layout::Layout(schema::Directory::Client directory) : directory(kj::mv(directory)) {}

// Only the directory's own refusal says that something is not there: it may as well have gone away.
kj::Promise<kj::AutoCloseFd> Layout::open(kj::String path, FailureCode absent, kj::String why) {
  auto request = directory.openRequest();
  request.setPath(path);
  kj::Maybe<kj::Exception> problem;
  try {
    co_return co_await takeFd(request.send().getFile(), path);
  } catch (...) {
    problem = kj::getCaughtExceptionAsKj();
  }
  auto& exception = KJ_ASSERT_NONNULL(problem);
  if (isDisconnected(exception)) {
    fail(FailureCode::CANCELLED, path, "whoever offered the layout has gone away", "give it again");
  }
  auto refusal = failureOf(exception);
  bool isAbsent = refusal.code == FailureCode::NOT_FOUND || refusal.code == FailureCode::INVALID;
  if (!isAbsent) kj::throwFatalException(kj::mv(exception));
  fail(absent, path, kj::str(why, ": ", refusal.message));
}

kj::Promise<kj::Array<kj::byte>> Layout::index(FileWorkerProcess& files) {
  auto file = co_await open(kj::str("index.json"), FailureCode::INVALID,
                            kj::str("the directory is no image layout"));
  co_return co_await files.read(kj::mv(file), kMostIndex, "index.json");
}

kj::Promise<kj::AutoCloseFd> Layout::blob(Digest digest) {
  return open(kj::str("blobs/", digest.algorithmName(), "/", digest.hex()), FailureCode::NOT_FOUND,
              kj::str("the layout has no such blob"));
}

kj::Promise<kj::Array<kj::byte>> Layout::document(FileWorkerProcess& files, Digest digest,
                                                  size_t most) {
  auto file = co_await blob(digest);
  auto bytes = co_await files.read(kj::mv(file), most, digest.toString());
  if (!digest.names(bytes)) {
    fail(FailureCode::DIGEST_MISMATCH, digest.toString(),
         kj::str("the layout's blob has the digest ", Digest::of(bytes, digest.algorithm())));
  }
  co_return kj::mv(bytes);
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
