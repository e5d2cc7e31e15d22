// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/log-ring.h"

#include <algorithm>

namespace bulkhead::zone {
namespace {

// Bytes of one stream in a row share a segment up to this size, the unit in which the oldest are
// dropped. Never more than an eighth of the whole, so that a small ring keeps a useful part.
constexpr size_t kSegmentBytes = 4096;
constexpr size_t kSegmentOverhead = 64;  // so that single bytes, in turns, stay bounded too
constexpr size_t kLargestChunk = 64 << 10;

}  // namespace

void LogRing::append(OutputStream stream, kj::ArrayPtr<const kj::byte> bytes) {
  size_t segmentLimit = std::clamp<size_t>(limit / 8, 64, kSegmentBytes);
  while (bytes.size() > 0) {
    bool fits = !segments.empty() && segments.back().stream == stream &&
                segments.back().bytes.size() < segmentLimit;
    if (!fits) {
      segments.push_back(Segment{stream, nextPosition, {}});
      cost += kSegmentOverhead;
    }
    auto& segment = segments.back().bytes;
    size_t count = std::min(bytes.size(), segmentLimit - segment.size());
    segment.addAll(bytes.slice(0, count));
    bytes = bytes.slice(count, bytes.size());
    nextPosition += count;
    cost += count;
    while (cost > limit && segments.size() > 1) {
      cost -= segments.front().bytes.size() + kSegmentOverhead;
      segments.pop_front();
    }
  }
  wake();
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

LogRing::Chunk LogRing::read(uint64_t position) const {
  uint64_t from = std::max(position, begin());
  uint64_t skipped = from - position;
  auto after = std::upper_bound(
      segments.begin(), segments.end(), from,
      [](uint64_t wanted, const Segment& segment) { return wanted < segment.start; });
  if (after == segments.begin() || from >= nextPosition) {
    return {OutputStream::standardOutput, nullptr, nextPosition, skipped};
  }
  auto& segment = *(after - 1);
  auto offset = static_cast<size_t>(from - segment.start);
  auto bytes =
      segment.bytes.asPtr().slice(offset, std::min(segment.bytes.size(), offset + kLargestChunk));
  return {segment.stream, kj::heapArray<kj::byte>(bytes), from + bytes.size(), skipped};
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
