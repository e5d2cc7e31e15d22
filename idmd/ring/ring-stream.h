// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async-io.h>
#include <kj/timer.h>

#include "idmd/ring/event-channel.h"
#include "idmd/ring/mapped-pages.h"
#include "idmd/ring/ring.h"

namespace bulkhead::ring {

// What a peer may cost, and how long a lost event may.
struct RingLimits {
  // A safety net under the events: after traffic the ring is looked at again this often, then
  // after twice that time and so on up to `slowestCheck`, until there is traffic again.
  kj::Duration firstCheck = 1 * kj::SECONDS;
  kj::Duration slowestCheck = 64 * kj::SECONDS;

  // Bytes taken in a row before everything else in the process gets its turn.
  size_t bytesPerTurn = 1u << 20;

  // So many events in a row that move nothing, and the peer's events wait for `stormPause`.
  uint32_t idleEvents = 64;
  kj::Duration stormPause = 10 * kj::MILLISECONDS;

  // A peer that sends so much while it takes nothing of what it was sent only wants our memory
  // filled with answers.
  size_t unreadAnswers = 4u << 20;
};

// A byte stream over a ring. One read and one write may be pending. There is no half-close:
// `shutdownWrite` does nothing, the end of the stream is the end of this object, which tells the
// peer. After a clean end by the peer reads give what is left and then end of file; after a breach
// everything fails with DISCONNECTED and a description of it.
class RingStream final : public kj::AsyncIoStream {
 public:
  RingStream(MappedPages pages, Side side, kj::Own<EventChannel> events, kj::Timer& timer,
             RingLimits limits = {});
  ~RingStream() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(RingStream);

  kj::Promise<size_t> tryRead(void* buffer, size_t minBytes, size_t maxBytes) override;
  kj::Promise<void> write(const void* buffer, size_t size) override;
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override;
  kj::Promise<void> whenWriteDisconnected() override { return ended.addBranch(); }
  void shutdownWrite() override {}

  // Why the stream ended when the peer broke the rules; empty otherwise.
  kj::StringPtr breach() const { return end.breach(); }

 private:
  class ReadOperation;
  class WriteOperation;

  MappedPages pages;
  RingEnd end;
  kj::Own<EventChannel> events;
  kj::Timer& timer;
  RingLimits limits;

  kj::Maybe<ReadOperation&> reading;
  kj::Maybe<WriteOperation&> writing;
  bool over = false;  // the peer is gone or broke the rules: nothing can be written any more
  kj::Own<kj::PromiseFulfiller<void>> endedFulfiller;
  kj::ForkedPromise<void> ended;

  size_t takenThisTurn = 0;
  size_t takenWhileStuck = 0;  // bytes read since the peer last took any of a blocked write
  uint64_t moved = 0;          // bytes in all, both ways
  kj::Duration checkInterval;
  bool checking = false;
  kj::Promise<void> listener;
  kj::Promise<void> checker;

  enum class Operation : uint8_t { read, write };

  kj::Promise<void> startWrite(kj::ArrayPtr<const kj::byte> now,
                               kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> later);

  // Each gives true when its operation is complete or must fail.
  bool advance(ReadOperation& operation);
  bool advance(WriteOperation& operation);

  // Why an operation that is not complete never will be; none for a read at the end of file.
  kj::Maybe<kj::Exception> failure(Operation operation);

  // Moves what can be moved, completes what is complete, and asks for events for the rest.
  void progress();
  void flushNotify();
  void countMoved(size_t bytes);
  void noteEnd();

  kj::Promise<void> listen();
  kj::Promise<void> check();
};

}  // namespace bulkhead::ring
