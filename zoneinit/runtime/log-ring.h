// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async.h>
#include <kj/vector.h>

#include <cstdint>
#include <deque>

namespace bulkhead::zone {

enum class OutputStream : uint8_t { standardOutput, standardError };

// What a container wrote last: both streams, apart but in the order they were read. Holds a bounded
// number of bytes and drops the oldest; what was dropped is counted. Any number of readers follow
// by position without costing the ring anything.
class LogRing {
 public:
  explicit LogRing(size_t limitBytes) : limit(limitBytes) {}
  KJ_DISALLOW_COPY_AND_MOVE(LogRing);

  void append(OutputStream stream, kj::ArrayPtr<const kj::byte> bytes);

  // Nothing will be appended any more: followers see the end.
  void close();
  bool closed() const { return isClosed; }

  // Position of the oldest byte kept, and of the next one to come. Positions count every byte ever
  // appended.
  uint64_t begin() const;
  uint64_t end() const { return nextPosition; }

  // Where the last `lines` lines begin, a last one without its newline included; 0: `begin()`.
  uint64_t tail(uint32_t lines) const;

  struct Chunk {
    OutputStream stream;
    kj::Array<kj::byte> bytes;  // at most 64 KiB; empty at the end
    uint64_t next;              // where to read on
    uint64_t skipped;           // bytes that were dropped before they could be read
  };

  // A copy of what lies at `position`, which may be older than anything kept.
  Chunk read(uint64_t position) const;

  // Resolves when something was appended after `position`, or the ring is closed.
  kj::Promise<void> whenBeyond(uint64_t position);

  uint64_t droppedBytes() const { return begin(); }

 private:
  struct Segment {
    OutputStream stream;
    uint64_t start;
    kj::Vector<kj::byte> bytes;
  };

  size_t limit;
  size_t cost = 0;  // bytes kept, and what keeping them costs besides
  uint64_t nextPosition = 0;
  bool isClosed = false;
  std::deque<Segment> segments;
  kj::Vector<kj::Own<kj::PromiseFulfiller<void>>> waiters;

  void wake();
};

}  // namespace bulkhead::zone
