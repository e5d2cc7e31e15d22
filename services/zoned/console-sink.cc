// SPDX-License-Identifier: Apache-2.0
#include "services/zoned/console-sink.h"

#include <sys/stat.h>

#include <kj/async-io.h>
#include <kj/debug.h>

#include "services/runtime/failure.h"
#include "services/runtime/files.h"

namespace bulkhead {
namespace {

class ConsoleSink final : public schema::ByteStream::Server {
 public:
  ConsoleSink(kj::Own<kj::AsyncOutputStream> output, kj::Own<kj::PromiseFulfiller<void>> ended)
      : output(kj::mv(output)), ended(kj::mv(ended)) {}
  ~ConsoleSink() noexcept(false) { ended->fulfill(); }

  kj::Promise<void> write(WriteContext context) override {
    auto text = sanitised(context.getParams().getBytes());
    co_await output->write(text.begin(), text.size());
  }

  kj::Promise<void> end(EndContext) override {
    ended->fulfill();
    return kj::READY_NOW;
  }

 private:
  kj::Own<kj::AsyncOutputStream> output;
  kj::Own<kj::PromiseFulfiller<void>> ended;

  // Line ends stay; carriage returns, which consoles put before them, go.
  static kj::Array<char> sanitised(capnp::Data::Reader bytes) {
    kj::Vector<char> out(bytes.size());
    for (kj::byte byte : bytes) {
      char c = static_cast<char>(byte);
      if (c == '\r') continue;
      if (c == '\n') {
        out.add(c);
      } else {
        out.addAll(printable(kj::arrayPtr(&c, 1)));
      }
    }
    return out.releaseAsArray();
  }
};

}  // namespace

kj::Promise<void> copyConsole(kj::LowLevelAsyncIoProvider& provider, schema::Domain::Client domain,
                              schema::ConsoleMode mode, schema::File::Client output) {
  auto fd = co_await takeFd(kj::mv(output), "output");
  struct stat status{};
  KJ_SYSCALL(fstat(fd, &status));
  if (!S_ISFIFO(status.st_mode) && !S_ISSOCK(status.st_mode)) {
    fail(FailureCode::INVALID, "output", "is neither a pipe nor a socket");
  }
  auto ended = kj::newPromiseAndFulfiller<void>();
  auto request = domain.consoleRequest();
  request.setMode(mode);
  request.setSink(
      kj::heap<ConsoleSink>(provider.wrapOutputFd(kj::mv(fd)), kj::mv(ended.fulfiller)));
  auto response = co_await request.send();
  auto handle = response.getHandle();
  co_await ended.promise;
}

}  // namespace bulkhead
