// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/files.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <kj/debug.h>
#include <kj/function.h>

#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

class FileServer final : public schema::File::Server {
 public:
  explicit FileServer(kj::AutoCloseFd fd) : fd(kj::mv(fd)) {}
  kj::Maybe<int> getFd() override { return fd.get(); }

 private:
  kj::AutoCloseFd fd;
};

class HandleServer final : public schema::Handle::Server {
 public:
  explicit HandleServer(kj::Function<void()> onDrop) : onDrop(kj::mv(onDrop)) {}
  ~HandleServer() noexcept(false) { onDrop(); }

 private:
  kj::Function<void()> onDrop;
};

class DirectoryServer final : public schema::Directory::Server {
 public:
  explicit DirectoryServer(kj::AutoCloseFd directory) : directory(kj::mv(directory)) {}

  kj::Promise<void> open(OpenContext context) override {
    auto file = openPlainFileBeneath(directory, context.getParams().getPath());
    context.getResults().setFile(makeFile(kj::mv(file)));
    return kj::READY_NOW;
  }

 private:
  kj::AutoCloseFd directory;
};

}  // namespace

kj::AutoCloseFd duplicate(int fd) {
  int copy;
  KJ_SYSCALL(copy = fcntl(fd, F_DUPFD_CLOEXEC, 0));
  return kj::AutoCloseFd(copy);
}

schema::File::Client makeFile(kj::AutoCloseFd fd) { return kj::heap<FileServer>(kj::mv(fd)); }

kj::Promise<kj::AutoCloseFd> takeFd(schema::File::Client file, kj::StringPtr what) {
  auto name = kj::str(what);
  auto fd = co_await file.getFd();
  KJ_IF_MAYBE (number, fd) {
    co_return duplicate(*number);
  }
  fail(FailureCode::INVALID, name, "no file descriptor came with the capability");
}

kj::Promise<kj::Maybe<kj::AutoCloseFd>> takeFdIfAny(kj::Maybe<schema::File::Client> file) {
  KJ_IF_MAYBE (present, file) {
    auto fd = co_await present->getFd();
    KJ_IF_MAYBE (number, fd) {
      co_return kj::Maybe<kj::AutoCloseFd>(duplicate(*number));
    }
  }
  co_return nullptr;
}

schema::Directory::Client makeDirectory(kj::AutoCloseFd directory) {
  return kj::heap<DirectoryServer>(kj::mv(directory));
}

int openBeneath(int directory, kj::StringPtr path, int flags) {
  open_how how{};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC | O_NONBLOCK);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  long fd = syscall(SYS_openat2, directory, path.cStr(), &how, sizeof how);
  return fd < 0 ? -errno : static_cast<int>(fd);
}

kj::AutoCloseFd openPlainFileBeneath(int directory, kj::StringPtr path) {
  int raw = openBeneath(directory, path, O_RDONLY);
  if (raw < 0) fail(FailureCode::NOT_FOUND, path, strerror(-raw));
  kj::AutoCloseFd file(raw);
  struct stat status;
  KJ_SYSCALL(fstat(file, &status));
  if (!S_ISREG(status.st_mode)) fail(FailureCode::INVALID, path, "this is not a plain file");
  return file;
}

schema::Handle::Client makeHandle(kj::Function<void()> onDrop) {
  return kj::heap<HandleServer>(kj::mv(onDrop));
}

}  // namespace bulkhead
