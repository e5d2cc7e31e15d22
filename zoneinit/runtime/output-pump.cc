// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/output-pump.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <kj/debug.h>

#include "zoneinit/runtime/wall-clock.h"

namespace bulkhead::zone {
namespace {

constexpr size_t kBufferBytes = 32 << 10;

}  // namespace

OutputPump::OutputPump(kj::UnixEventPort& eventPort, kj::AutoCloseFd fdParam,
                       OutputStream streamParam, kj::Maybe<LogRing&> logParam,
                       kj::Maybe<kj::Own<OutputSink>> sinkParam)
    : OutputPump(eventPort, kj::mv(fdParam), streamParam, logParam, kj::mv(sinkParam),
                 kj::newPromiseAndFulfiller<void>()) {}

OutputPump::OutputPump(kj::UnixEventPort& eventPort, kj::AutoCloseFd fdParam,
                       OutputStream streamParam, kj::Maybe<LogRing&> logParam,
                       kj::Maybe<kj::Own<OutputSink>> sinkParam,
                       kj::PromiseFulfillerPair<void> handedOverParam)
    : fd(kj::mv(fdParam)),
      observer(eventPort, fd, kj::UnixEventPort::FdObserver::OBSERVE_READ),
      stream(streamParam),
      log(logParam),
      sink(kj::mv(sinkParam)),
      handedOverFulfiller(kj::mv(handedOverParam.fulfiller)),
      handedOver(handedOverParam.promise.fork()) {
  KJ_SYSCALL(fcntl(fd, F_SETFL, O_NONBLOCK));
}

kj::Promise<void> OutputPump::deliver(kj::ArrayPtr<const kj::byte> bytes) {
  KJ_IF_MAYBE (ring, log) {
    ring->append(stream, bytes, unixNanoseconds());
  }
  bool failed = false;
  KJ_IF_MAYBE (target, sink) {
    try {
      co_await (*target)->write(bytes);
    } catch (...) {
      // Whoever read along has gone; the process is not to notice.
      (void)kj::getCaughtExceptionAsKj();
      failed = true;
    }
  }
  if (failed) sink = nullptr;
}

kj::Promise<void> OutputPump::finish() {
  KJ_IF_MAYBE (target, sink) {
    try {
      co_await (*target)->end();
    } catch (...) {
      (void)kj::getCaughtExceptionAsKj();
    }
  }
  sink = nullptr;
  log = nullptr;
  handedOverFulfiller->fulfill();
}

kj::Promise<void> OutputPump::run(kj::Promise<void> processEnded) {
  auto exit = processEnded.then([this]() { ended = true; }).fork();
  auto noteExit = exit.addBranch().eagerlyEvaluate(nullptr);
  auto buffer = kj::heapArray<kj::byte>(kBufferBytes);
  bool finished = false;
  for (;;) {
    bool endedBefore = ended;
    ssize_t n = read(fd, buffer.begin(), buffer.size());
    if (n > 0) {
      if (!finished) co_await deliver(buffer.slice(0, static_cast<size_t>(n)));
      continue;
    }
    if (n < 0 && errno == EINTR) continue;
    // A terminal whose last user is gone reads as EIO.
    if (n == 0 || errno != EAGAIN) break;
    if (endedBefore && !finished) {
      finished = true;
      co_await finish();
      continue;
    }
    auto readable = observer.whenBecomesReadable();
    if (ended) {
      co_await readable;
    } else {
      co_await readable.exclusiveJoin(exit.addBranch());
    }
  }
  if (!finished) co_await finish();
}

}  // namespace bulkhead::zone
