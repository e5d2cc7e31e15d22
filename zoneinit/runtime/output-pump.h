// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async-unix.h>
#include <kj/io.h>

#include "zoneinit/runtime/log-ring.h"

namespace bulkhead::zone {

// Where output goes besides the log.
class OutputSink {
 public:
  virtual ~OutputSink() noexcept(false) {}

  // Resolves when the sink can take more.
  virtual kj::Promise<void> write(kj::ArrayPtr<const kj::byte> bytes) = 0;

  // Resolves when all was taken.
  virtual kj::Promise<void> end() = 0;
};

// Moves one stream of a process into the log and to a sink. The sink's pace is the process's pace;
// a sink that fails is let go, and the output goes on into the log alone.
class OutputPump {
 public:
  // `fd` is set non-blocking. `log` may be absent and must outlive this object.
  OutputPump(kj::UnixEventPort& eventPort, kj::AutoCloseFd fd, OutputStream stream,
             kj::Maybe<LogRing&> log, kj::Maybe<kj::Own<OutputSink>> sink);
  KJ_DISALLOW_COPY_AND_MOVE(OutputPump);

  // Runs until the stream's end. After `processEnded` resolves, what is there already is still
  // moved and the sink is ended; from then on bytes of a grandchild that holds the stream are read
  // and thrown away, so that it does not die of a broken pipe.
  kj::Promise<void> run(kj::Promise<void> processEnded);

  // Resolves when everything the process wrote was handed over.
  kj::Promise<void> whenHandedOver() { return handedOver.addBranch(); }

 private:
  kj::AutoCloseFd fd;
  kj::UnixEventPort::FdObserver observer;
  OutputStream stream;
  kj::Maybe<LogRing&> log;
  kj::Maybe<kj::Own<OutputSink>> sink;
  bool ended = false;
  kj::Own<kj::PromiseFulfiller<void>> handedOverFulfiller;
  kj::ForkedPromise<void> handedOver;

  kj::Promise<void> deliver(kj::ArrayPtr<const kj::byte> bytes);
  kj::Promise<void> finish();

  OutputPump(kj::UnixEventPort& eventPort, kj::AutoCloseFd fd, OutputStream stream,
             kj::Maybe<LogRing&> log, kj::Maybe<kj::Own<OutputSink>> sink,
             kj::PromiseFulfillerPair<void> handedOver);
};

}  // namespace bulkhead::zone
