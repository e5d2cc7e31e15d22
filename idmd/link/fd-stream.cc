// SPDX-License-Identifier: Apache-2.0
#include "idmd/link/fd-stream.h"

#include <kj/debug.h>

#include "idmd/link/foreign-fd.h"
#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

class FdWriter final : public schema::ByteStream::Server {
 public:
  FdWriter(kj::UnixEventPort& eventPort, kj::AutoCloseFd fd)
      : file(kj::heap<ForeignFd>(eventPort, kj::mv(fd), ForeignFd::Direction::writing)) {}

  kj::Promise<void> write(WriteContext context) override {
    auto bytes = context.getParams().getBytes();
    if (bytes.size() > kStreamChunk) {
      fail(FailureCode::INVALID, "output", "more bytes in one write than a stream takes");
    }
    return open().write(bytes);
  }

  // Writes come one after the other, so all of them are done by now.
  kj::Promise<void> end(EndContext) override {
    open();
    file = nullptr;
    return kj::READY_NOW;
  }

 private:
  kj::Own<ForeignFd> file;

  ForeignFd& open() {
    if (file.get() == nullptr) fail(FailureCode::INVALID, "output", "the stream has ended");
    return *file;
  }
};

}  // namespace

schema::ByteStream::Client makeFdWriter(kj::UnixEventPort& eventPort, kj::AutoCloseFd fd) {
  return kj::heap<FdWriter>(eventPort, kj::mv(fd));
}

kj::Promise<void> pumpFd(kj::UnixEventPort& eventPort, kj::AutoCloseFd fd,
                         schema::ByteStream::Client into) {
  ForeignFd file(eventPort, kj::mv(fd), ForeignFd::Direction::reading);
  auto buffer = kj::heapArray<kj::byte>(kStreamChunk);
  for (;;) {
    size_t count = co_await file.read(buffer);
    if (count == 0) break;
    auto request = into.writeRequest(capnp::MessageSize{count / sizeof(capnp::word) + 8, 0});
    request.setBytes(buffer.slice(0, count));
    co_await request.send();
  }
  co_await into.endRequest().send();
}

}  // namespace bulkhead
