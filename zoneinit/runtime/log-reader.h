// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/string.h>

#include "zoneinit/runtime/log-ring.h"

namespace bulkhead::zone {

enum class LineStamps : uint8_t { none, rfc3339 };

// Which lines of a log are read, and how they are shown. Times are nanoseconds since 1970 and
// compared with when a line's first byte was read.
struct LogSelection {
  uint32_t tailLines = 0;       // of the last so many lines; 0: of all that are kept
  uint64_t since = 0;           // those that began then or later
  uint64_t until = UINT64_MAX;  // those that began then or earlier
  LineStamps stamps = LineStamps::none;
};

// Reads a ring from its oldest bytes on. A line of which the ring dropped the beginning counts as
// one that began when its lost first byte was read.
class LogReader {
 public:
  // The ring outlives the reader.
  LogReader(const LogRing& ring, LogSelection selection)
      : ring(ring), selection(selection), position(ring.tail(selection.tailLines)) {}

  struct Piece {
    OutputStream stream;
    kj::Array<kj::byte> bytes;  // 1 to 64 KiB
  };

  // The next bytes that belong to the selection; nothing when all that there is was read.
  kj::Maybe<Piece> next();

  // Where the next bytes will lie.
  uint64_t end() const { return position; }

 private:
  // The line that a stream's next byte belongs to.
  struct Line {
    bool open = false;
    bool wanted = false;
  };

  const LogRing& ring;
  LogSelection selection;
  uint64_t position;
  std::array<Line, 2> lines;
  std::array<bool, 2> torn = {};  // bytes were lost behind a line's beginning

  bool takesEverything() const;
  size_t select(const LogRing::Chunk& chunk, uint64_t start, kj::Vector<kj::byte>& out);
  void noteLoss();
};

// "2026-01-02T03:04:05.123456789Z": nanoseconds since 1970 as RFC 3339 writes them.
kj::String rfc3339(uint64_t unixNanoseconds);

}  // namespace bulkhead::zone
