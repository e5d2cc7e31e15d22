// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async.h>
#include <kj/vector.h>

#include <array>
#include <cstdint>
#include <deque>
#include <vector>

namespace bulkhead::zone {

enum class OutputStream : uint8_t { standardOutput, standardError };

// What a container wrote last: both streams, apart but in the order they were read, and when each
// line began. Holds a bounded number of bytes and drops the oldest; what was dropped is counted.
// Any number of readers follow by position without costing the ring anything.
class LogRing {
 public:
  explicit LogRing(size_t limitBytes) : limit(limitBytes) {}
  KJ_DISALLOW_COPY_AND_MOVE(LogRing);

  // `now`, in nanoseconds since 1970, is when the bytes were read.
  void append(OutputStream stream, kj::ArrayPtr<const kj::byte> bytes, uint64_t now);

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

  // When the first byte of the line was read that the byte at `position`, which is kept, belongs
  // to: a line of that byte's own stream, whatever the other one wrote in between.
  uint64_t lineTime(uint64_t position) const;

  // Resolves when something was appended after `position`, or the ring is closed.
  kj::Promise<void> whenBeyond(uint64_t position);

  uint64_t droppedBytes() const { return begin(); }

 private:
  // Lines that were read in one piece share the mark of the first of them.
  struct Mark {
    uint64_t offset : 12;  // in the segment
    uint64_t later : 52;   // nanoseconds after the segment's `lineTime`: 52 days
  };

  struct Segment {
    OutputStream stream;
    uint64_t start;
    uint64_t lineTime;  // of the line that its first byte belongs to
    kj::Vector<kj::byte> bytes;
    std::vector<Mark> marks;
  };

  // The line that a stream's next byte belongs to.
  struct OpenLine {
    bool open = false;  // else that byte begins one
    uint64_t time = 0;
  };

  size_t limit;
  size_t cost = 0;  // bytes kept, and what keeping them costs besides
  uint64_t nextPosition = 0;
  bool isClosed = false;
  std::deque<Segment> segments;
  std::array<OpenLine, 2> openLines;
  kj::Vector<kj::Own<kj::PromiseFulfiller<void>>> waiters;

  bool fitsLast(OutputStream stream, uint64_t now, size_t segmentLimit) const;
  static bool canMark(const Segment& segment, uint64_t now);
  void extend(Segment& segment, OpenLine& line, kj::ArrayPtr<const kj::byte> bytes, uint64_t now);
  void mark(Segment& segment, size_t offset, uint64_t now);
  const Segment& segmentAt(uint64_t position) const;
  void dropOldest();
  void wake();
};

}  // namespace bulkhead::zone
