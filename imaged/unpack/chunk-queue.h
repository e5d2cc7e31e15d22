// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>

#include <kj/array.h>
#include <kj/exception.h>
#include <kj/mutex.h>

namespace bulkhead {

// A stream on its way from the thread that makes it to two threads that each see all of it. A fixed
// number of buffers goes round, so that a slow reader holds the maker up instead of filling memory.
// Waking a thread costs about as much as a chunk, so whoever had to wait is woken for several: the
// maker when half of the buffers are free, a reader when a quarter is filled.
class ChunkQueue {
 public:
  enum Reader : uint { parser, hasher };

  ChunkQueue(size_t chunkBytes, uint chunks);
  KJ_DISALLOW_COPY_AND_MOVE(ChunkQueue);

  // The maker's next buffer; none when nobody wants it any more. Waits while all are in use.
  kj::Maybe<kj::ArrayPtr<kj::byte>> claim();

  // The claimed buffer holds this many bytes, at least one.
  void publish(size_t bytes);

  // There is no more: by the end of the stream, or by an error that both readers are to meet.
  void end(kj::Maybe<kj::Exception> error = nullptr);

  // The next bytes; none at the end. Gives the bytes of the call before back, waits for new ones,
  // and throws the maker's error.
  kj::ArrayPtr<const kj::byte> next(Reader reader);

  // Wakes everyone: the maker gets no buffer, readers find the end.
  void abandon();

 private:
  static constexpr uint kReaders = 2;

  struct State {
    uint64_t made = 0;
    std::array<uint64_t, kReaders> released{};
    std::array<bool, kReaders> holds{};
    bool ended = false;
    bool abandoned = false;
    kj::Maybe<kj::Exception> error;

    uint64_t oldest() const { return kj::min(released[parser], released[hasher]); }
  };

  const size_t chunkBytes;
  const uint chunks;
  kj::Array<kj::byte> memory;
  // Written by the maker before `made` grows, read by readers after.
  kj::Array<size_t> filled;
  kj::MutexGuarded<State> state;

  kj::ArrayPtr<kj::byte> buffer(uint64_t number);
};

}  // namespace bulkhead
