// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/log-reader.h"

#include <stdio.h>
#include <string.h>

#include <chrono>

namespace bulkhead::zone {
namespace {

// A stamp in front of each of many empty lines is what makes more of the bytes than they were.
constexpr size_t kLargestPiece = 64 << 10;
constexpr size_t kStampBytes = 31;

size_t lineEnd(kj::ArrayPtr<const kj::byte> bytes, size_t from) {
  auto found = static_cast<const kj::byte*>(memchr(&bytes[from], '\n', bytes.size() - from));
  return found == nullptr ? bytes.size() : static_cast<size_t>(found - bytes.begin()) + 1;
}

}  // namespace

bool LogReader::takesEverything() const {
  return selection.since == 0 && selection.until == UINT64_MAX &&
         selection.stamps == LineStamps::none;
}

kj::Maybe<LogReader::Piece> LogReader::next() {
  for (;;) {
    auto chunk = ring.read(position);
    if (chunk.skipped > 0) noteLoss();
    if (chunk.bytes.size() == 0) {
      position = chunk.next;
      return nullptr;
    }
    auto start = chunk.next - chunk.bytes.size();
    if (takesEverything()) {
      position = chunk.next;
      return Piece{chunk.stream, kj::mv(chunk.bytes)};
    }
    kj::Vector<kj::byte> out;
    position = start + select(chunk, start, out);
    if (out.size() > 0) return Piece{chunk.stream, out.releaseAsArray()};
  }
}

// Takes what is wanted of the chunk; returns how much of it was looked at.
size_t LogReader::select(const LogRing::Chunk& chunk, uint64_t start, kj::Vector<kj::byte>& out) {
  auto& line = lines[static_cast<size_t>(chunk.stream)];
  auto& wasTorn = torn[static_cast<size_t>(chunk.stream)];
  size_t at = 0;
  while (at < chunk.bytes.size()) {
    size_t end = lineEnd(chunk.bytes, at);
    if (out.size() + (end - at) + kStampBytes + 1 > kLargestPiece && out.size() > 0) break;
    if (!line.open) {
      auto time = ring.lineTime(start + at);
      line.wanted = time >= selection.since && time <= selection.until;
      if (line.wanted && selection.stamps == LineStamps::rfc3339) {
        if (wasTorn) out.add('\n');
        out.addAll(rfc3339(time).asBytes());
        out.add(' ');
      }
      wasTorn = false;
    }
    if (line.wanted) out.addAll(chunk.bytes.slice(at, end));
    line.open = chunk.bytes[end - 1] != '\n';
    at = end;
  }
  return at;
}

// What comes next is of other lines than what was read last.
void LogReader::noteLoss() {
  for (size_t stream = 0; stream < lines.size(); ++stream) {
    torn[stream] = torn[stream] || (lines[stream].open && lines[stream].wanted);
    lines[stream].open = false;
  }
}

kj::String rfc3339(uint64_t unixNanoseconds) {
  auto nanoseconds = static_cast<unsigned>(unixNanoseconds % 1'000'000'000);
  std::chrono::sys_seconds time{
      std::chrono::seconds(static_cast<int64_t>(unixNanoseconds / 1'000'000'000))};
  auto day = std::chrono::floor<std::chrono::days>(time);
  std::chrono::year_month_day date(day);
  std::chrono::hh_mm_ss clock(time - day);
  char text[64];
  snprintf(text, sizeof text, "%04d-%02u-%02uT%02u:%02u:%02u.%09uZ", static_cast<int>(date.year()),
           static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
           static_cast<unsigned>(clock.hours().count()),
           static_cast<unsigned>(clock.minutes().count()),
           static_cast<unsigned>(clock.seconds().count()), nanoseconds);
  return kj::str(static_cast<const char*>(text));
}

}  // namespace bulkhead::zone
