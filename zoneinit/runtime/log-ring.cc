// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/log-ring.h"

#include <string.h>

#include <algorithm>

#include <kj/debug.h>

namespace bulkhead::zone {
namespace {

// Bytes of one stream in a row share a segment up to this size, the unit in which the oldest are
// dropped. Never more than an eighth of the whole, so that a small ring keeps a useful part.
constexpr size_t kSegmentBytes = 4096;
constexpr size_t kSegmentOverhead = 128;  // so that single bytes, in turns, stay bounded too
constexpr size_t kLargestChunk = 64 << 10;
constexpr uint64_t kLatestMark = (uint64_t{1} << 52) - 1;

// How many of the bytes belong to the line that the first of them belongs to.
size_t restOfLine(kj::ArrayPtr<const kj::byte> bytes) {
  auto newline = static_cast<const kj::byte*>(memchr(bytes.begin(), '\n', bytes.size()));
  return newline == nullptr ? bytes.size() : static_cast<size_t>(newline - bytes.begin()) + 1;
}

}  // namespace

void LogRing::append(OutputStream stream, kj::ArrayPtr<const kj::byte> bytes, uint64_t now) {
  size_t segmentLimit = std::clamp<size_t>(limit / 8, 64, kSegmentBytes);
  auto& line = openLines[static_cast<size_t>(stream)];
  while (bytes.size() > 0) {
    if (!fitsLast(stream, now, segmentLimit)) {
      segments.push_back(Segment{stream, nextPosition, line.open ? line.time : now, {}, {}});
      cost += kSegmentOverhead;
    }
    auto& segment = segments.back();
    size_t count = std::min(bytes.size(), segmentLimit - segment.bytes.size());
    // A line that is open already may have begun before the clock was set.
    if (line.open && !canMark(segment, now)) count = std::min(count, restOfLine(bytes));
    extend(segment, line, bytes.slice(0, count), now);
    bytes = bytes.slice(count, bytes.size());
    nextPosition += count;
    cost += count;
    while (cost > limit && segments.size() > 1) dropOldest();
  }
  wake();
}

bool LogRing::canMark(const Segment& segment, uint64_t now) {
  return now >= segment.lineTime && now - segment.lineTime <= kLatestMark;
}

bool LogRing::fitsLast(OutputStream stream, uint64_t now, size_t segmentLimit) const {
  if (segments.empty()) return false;
  auto& last = segments.back();
  return last.stream == stream && last.bytes.size() < segmentLimit && canMark(last, now);
}

void LogRing::extend(Segment& segment, OpenLine& line, kj::ArrayPtr<const kj::byte> bytes,
                     uint64_t now) {
  size_t offset = segment.bytes.size();
  segment.bytes.addAll(bytes);
  size_t begins = line.open ? restOfLine(bytes) : 0;
  if (begins < bytes.size()) {
    mark(segment, offset + begins, now);
    line.time = now;
  }
  line.open = bytes.back() != '\n';
}

void LogRing::mark(Segment& segment, size_t offset, uint64_t now) {
  uint64_t later = now - segment.lineTime;
  if (later == (segment.marks.empty() ? 0 : segment.marks.back().later)) return;
  segment.marks.push_back(Mark{offset & 0xfff, later & kLatestMark});
  cost += sizeof(Mark);
}

void LogRing::dropOldest() {
  auto& oldest = segments.front();
  cost -= oldest.bytes.size() + oldest.marks.size() * sizeof(Mark) + kSegmentOverhead;
  segments.pop_front();
}

void LogRing::close() {
  isClosed = true;
  wake();
}

uint64_t LogRing::begin() const { return segments.empty() ? nextPosition : segments.front().start; }

uint64_t LogRing::tail(uint32_t lines) const {
  if (lines == 0) return begin();
  uint32_t newlines = 0;
  bool last = true;
  for (auto segment = segments.rbegin(); segment != segments.rend(); ++segment) {
    for (size_t i = segment->bytes.size(); i > 0; --i) {
      // The newline that ends the last line begins no other.
      if (segment->bytes[i - 1] == '\n' && !last && ++newlines == lines) return segment->start + i;
      last = false;
    }
  }
  return begin();
}

const LogRing::Segment& LogRing::segmentAt(uint64_t position) const {
  auto after = std::upper_bound(
      segments.begin(), segments.end(), position,
      [](uint64_t wanted, const Segment& segment) { return wanted < segment.start; });
  KJ_REQUIRE(after != segments.begin() && position < nextPosition, "this position is not kept");
  return *(after - 1);
}

LogRing::Chunk LogRing::read(uint64_t position) const {
  uint64_t from = std::max(position, begin());
  uint64_t skipped = from - position;
  if (from >= nextPosition) return {OutputStream::standardOutput, nullptr, nextPosition, skipped};
  auto& segment = segmentAt(from);
  auto offset = static_cast<size_t>(from - segment.start);
  auto bytes =
      segment.bytes.asPtr().slice(offset, std::min(segment.bytes.size(), offset + kLargestChunk));
  return {segment.stream, kj::heapArray<kj::byte>(bytes), from + bytes.size(), skipped};
}

uint64_t LogRing::lineTime(uint64_t position) const {
  auto& segment = segmentAt(position);
  uint64_t offset = position - segment.start;
  auto after =
      std::upper_bound(segment.marks.begin(), segment.marks.end(), offset,
                       [](uint64_t wanted, const Mark& mark) { return wanted < mark.offset; });
  return segment.lineTime + (after == segment.marks.begin() ? 0 : (after - 1)->later);
}

kj::Promise<void> LogRing::whenBeyond(uint64_t position) {
  if (isClosed || nextPosition > position) return kj::READY_NOW;
  auto paf = kj::newPromiseAndFulfiller<void>();
  // Those that stopped waiting make room.
  size_t kept = 0;
  for (auto& waiter : waiters) {
    if (waiter->isWaiting()) {
      auto moved = kj::mv(waiter);
      waiters[kept++] = kj::mv(moved);
    }
  }
  waiters.truncate(kept);
  waiters.add(kj::mv(paf.fulfiller));
  return kj::mv(paf.promise);
}

void LogRing::wake() {
  auto woken = kj::mv(waiters);
  waiters = {};
  for (auto& waiter : woken) waiter->fulfill();
}

}  // namespace bulkhead::zone
