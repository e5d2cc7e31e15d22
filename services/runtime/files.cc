// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/files.h"

#include <fcntl.h>

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

kj::AutoCloseFd duplicate(int fd) {
  int copy;
  KJ_SYSCALL(copy = fcntl(fd, F_DUPFD_CLOEXEC, 0));
  return kj::AutoCloseFd(copy);
}

}  // namespace

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

schema::Handle::Client makeHandle(kj::Function<void()> onDrop) {
  return kj::heap<HandleServer>(kj::mv(onDrop));
}

}  // namespace bulkhead
