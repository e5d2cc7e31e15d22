// SPDX-License-Identifier: Apache-2.0
#include "idmd/ring/ring-stream.h"

#include <kj/debug.h>

namespace bulkhead::ring {

// A read that is under way: lives in its promise, or on the stack for its first try.
class RingStream::ReadOperation {
 public:
  ReadOperation(kj::ArrayPtr<kj::byte> into, size_t least) : into(into), least(least) {}
  ReadOperation(kj::PromiseFulfiller<size_t>& fulfiller, RingStream& stream,
                const ReadOperation& tried)
      : into(tried.into),
        least(tried.least),
        done(tried.done),
        stream(&stream),
        fulfiller(&fulfiller) {
    stream.reading = *this;
  }
  ~ReadOperation() noexcept(false) { leave(); }
  KJ_DISALLOW_COPY_AND_MOVE(ReadOperation);

  kj::ArrayPtr<kj::byte> into;
  size_t least;
  size_t done = 0;

  void complete(kj::Maybe<kj::Exception> failure) {
    leave();
    KJ_IF_MAYBE (exception, failure) {
      fulfiller->reject(kj::mv(*exception));
    } else {
      fulfiller->fulfill(kj::cp(done));
    }
  }

 private:
  RingStream* stream = nullptr;
  kj::PromiseFulfiller<size_t>* fulfiller = nullptr;

  void leave() {
    if (stream != nullptr) stream->reading = nullptr;
    stream = nullptr;
  }
};

class RingStream::WriteOperation {
 public:
  WriteOperation(kj::ArrayPtr<const kj::byte> now,
                 kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> later)
      : now(now), later(later) {}
  WriteOperation(kj::PromiseFulfiller<void>& fulfiller, RingStream& stream,
                 const WriteOperation& tried)
      : now(tried.now), later(tried.later), stream(&stream), fulfiller(&fulfiller) {
    stream.writing = *this;
    stream.takenWhileStuck = 0;
  }
  ~WriteOperation() noexcept(false) { leave(); }
  KJ_DISALLOW_COPY_AND_MOVE(WriteOperation);

  kj::ArrayPtr<const kj::byte> now;
  kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> later;

  // Steps over finished pieces; false when all are.
  bool more() {
    while (now.size() == 0) {
      if (later.size() == 0) return false;
      now = later.front();
      later = later.slice(1, later.size());
    }
    return true;
  }

  size_t remaining() const {
    size_t sum = now.size();
    for (auto& piece : later) sum += piece.size();
    return sum;
  }

  void complete(kj::Maybe<kj::Exception> failure) {
    leave();
    KJ_IF_MAYBE (exception, failure) {
      fulfiller->reject(kj::mv(*exception));
    } else {
      fulfiller->fulfill();
    }
  }

 private:
  RingStream* stream = nullptr;
  kj::PromiseFulfiller<void>* fulfiller = nullptr;

  void leave() {
    if (stream != nullptr) stream->writing = nullptr;
    stream = nullptr;
  }
};

RingStream::RingStream(MappedPages pagesParam, Side side, kj::Own<EventChannel> eventsParam,
                       kj::Timer& timer, RingLimits limits)
    : pages(kj::mv(pagesParam)),
      end(pages.bytes(), side),
      events(kj::mv(eventsParam)),
      timer(timer),
      limits(limits),
      ended(nullptr),
      checkInterval(limits.firstCheck),
      listener(nullptr),
      checker(nullptr) {
  auto paf = kj::newPromiseAndFulfiller<void>();
  endedFulfiller = kj::mv(paf.fulfiller);
  ended = paf.promise.fork();
  listener = listen().eagerlyEvaluate([this](kj::Exception&&) {
    end.breakWith("the event channel failed");
    progress();
  });
  checker = check().eagerlyEvaluate(nullptr);
  progress();
}

RingStream::~RingStream() noexcept(false) {
  end.close();
  flushNotify();
}

kj::Maybe<kj::Exception> RingStream::failure(Operation operation) {
  switch (end.state()) {
    case RingState::open:
      return nullptr;
    case RingState::peerGone:
      if (operation == Operation::read) return nullptr;
      return KJ_EXCEPTION(DISCONNECTED, "the peer left the ring");
    case RingState::broken:
      return KJ_EXCEPTION(DISCONNECTED, "the ring is broken", end.breach());
  }
  KJ_UNREACHABLE;
}

kj::Promise<size_t> RingStream::tryRead(void* buffer, size_t minBytes, size_t maxBytes) {
  KJ_REQUIRE(reading == nullptr, "one read at a time");
  ReadOperation operation(kj::arrayPtr(static_cast<kj::byte*>(buffer), maxBytes), minBytes);
  bool complete = advance(operation);
  flushNotify();
  noteEnd();
  if (!complete) return kj::newAdaptedPromise<size_t, ReadOperation>(*this, operation);
  KJ_IF_MAYBE (exception, failure(Operation::read)) {
    if (operation.done < minBytes) return kj::mv(*exception);
  }
  size_t done = operation.done;
  if (takenThisTurn < limits.bytesPerTurn) return done;
  // A peer that always has more ready would otherwise keep this loop from its other sources: a
  // timer, even one that is due, fires only after those were polled.
  takenThisTurn = 0;
  return timer.afterDelay(0 * kj::NANOSECONDS).then([done]() { return done; });
}

kj::Promise<void> RingStream::write(const void* buffer, size_t size) {
  return startWrite(kj::arrayPtr(static_cast<const kj::byte*>(buffer), size), nullptr);
}

kj::Promise<void> RingStream::write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) {
  return startWrite(nullptr, pieces);
}

kj::Promise<void> RingStream::startWrite(kj::ArrayPtr<const kj::byte> now,
                                         kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> later) {
  KJ_REQUIRE(writing == nullptr, "one write at a time");
  WriteOperation operation(now, later);
  bool complete = advance(operation);
  flushNotify();
  noteEnd();
  if (!complete) return kj::newAdaptedPromise<void, WriteOperation>(*this, operation);
  if (operation.more()) {
    KJ_IF_MAYBE (exception, failure(Operation::write)) return kj::mv(*exception);
  }
  return kj::READY_NOW;
}

bool RingStream::advance(ReadOperation& operation) {
  for (;;) {
    // The state before the bytes: what a leaving peer wrote last is still taken.
    RingState state = end.state();
    size_t count = end.read(operation.into.slice(operation.done, operation.into.size()));
    operation.done += count;
    countMoved(count);
    takenThisTurn += count;
    if (writing != nullptr) {
      takenWhileStuck += count;
      if (takenWhileStuck > limits.unreadAnswers) {
        end.breakWith("the peer sends and does not read");
      }
    }
    if (operation.done >= operation.least) return true;
    if (state != RingState::open || end.state() == RingState::broken) return true;
    if (end.sleepUntilReadable(operation.least - operation.done) == RingEnd::Sleep::armed) {
      return false;
    }
  }
}

bool RingStream::advance(WriteOperation& operation) {
  for (;;) {
    while (operation.more()) {
      size_t count = end.write(operation.now);
      if (count == 0) break;
      operation.now = operation.now.slice(count, operation.now.size());
      countMoved(count);
      takenWhileStuck = 0;
    }
    if (!operation.more()) return true;
    if (end.state() != RingState::open) return true;
    if (end.sleepUntilWritable(operation.remaining()) == RingEnd::Sleep::armed) return false;
  }
}

void RingStream::progress() {
  KJ_IF_MAYBE (operation, writing) {
    if (advance(*operation)) {
      operation->complete(operation->more() ? failure(Operation::write) : nullptr);
    }
  }
  KJ_IF_MAYBE (operation, reading) {
    if (advance(*operation)) {
      operation->complete(operation->done < operation->least ? failure(Operation::read) : nullptr);
    }
  }
  flushNotify();
  noteEnd();
}

void RingStream::flushNotify() {
  if (end.takeNotify()) events->notify();
}

void RingStream::noteEnd() {
  if (over || end.state() == RingState::open) return;
  over = true;
  endedFulfiller->fulfill();
  // What the other direction waits for will not come.
  progress();
}

void RingStream::countMoved(size_t bytes) {
  if (bytes == 0) return;
  moved += bytes;
  if (checkInterval == limits.firstCheck) return;
  checkInterval = limits.firstCheck;
  if (!checking) checker = check().eagerlyEvaluate(nullptr);
}

kj::Promise<void> RingStream::listen() {
  uint64_t movedBefore = 0;
  uint32_t idle = 0;
  while (!over) {
    co_await events->whenEvent();
    takenThisTurn = 0;
    progress();
    idle = moved == movedBefore ? idle + 1 : 0;
    movedBefore = moved;
    if (idle < limits.idleEvents) continue;
    // The port stays masked meanwhile; whatever is in the ring is looked at after the pause.
    co_await timer.afterDelay(limits.stormPause);
    progress();
  }
}

kj::Promise<void> RingStream::check() {
  uint64_t movedBefore = moved;
  while (!over) {
    co_await timer.afterDelay(checkInterval);
    bool quiet = moved == movedBefore;
    movedBefore = moved;
    checkInterval = quiet ? kj::min(checkInterval * 2, limits.slowestCheck) : limits.firstCheck;
    checking = true;
    KJ_DEFER(checking = false);
    progress();
  }
}

}  // namespace bulkhead::ring
