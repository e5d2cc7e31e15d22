// SPDX-License-Identifier: Apache-2.0
#include "imaged/timestamp.h"

#include <chrono>

namespace bulkhead {
namespace {

// Exactly `count` digits at `position`, which moves past them.
kj::Maybe<int> digits(kj::StringPtr text, size_t& position, size_t count) {
  if (text.size() < position + count) return nullptr;
  int value = 0;
  for (size_t i = 0; i < count; ++i) {
    char c = text[position++];
    if (c < '0' || c > '9') return nullptr;
    value = value * 10 + (c - '0');
  }
  return value;
}

bool literal(kj::StringPtr text, size_t& position, char c) {
  if (position >= text.size() || text[position] != c) return false;
  ++position;
  return true;
}

}  // namespace

kj::Maybe<int64_t> parseTimestamp(kj::StringPtr text) {
  size_t at = 0;
  auto number = [&](size_t count) { return digits(text, at, count).orDefault(-1); };
  int year = number(4);
  if (!literal(text, at, '-')) return nullptr;
  int month = number(2);
  if (!literal(text, at, '-')) return nullptr;
  int day = number(2);
  if (!literal(text, at, 'T') && !literal(text, at, 't')) return nullptr;
  int hour = number(2);
  if (!literal(text, at, ':')) return nullptr;
  int minute = number(2);
  if (!literal(text, at, ':')) return nullptr;
  int second = number(2);
  if (literal(text, at, '.')) {
    while (at < text.size() && text[at] >= '0' && text[at] <= '9') ++at;
  }
  int offset = 0;
  if (!literal(text, at, 'Z') && !literal(text, at, 'z')) {
    int sign = literal(text, at, '+') ? 1 : literal(text, at, '-') ? -1 : 0;
    int hours = number(2);
    if (!literal(text, at, ':')) return nullptr;
    int minutes = number(2);
    if (sign == 0 || hours < 0 || hours > 23 || minutes < 0 || minutes > 59) return nullptr;
    offset = sign * (hours * 3600 + minutes * 60);
  }
  if (at != text.size() || year < 0 || month < 0 || day < 0) return nullptr;
  if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60) {
    return nullptr;
  }
  std::chrono::year_month_day date{std::chrono::year(year),
                                   std::chrono::month(static_cast<unsigned>(month)),
                                   std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) return nullptr;
  auto days = std::chrono::sys_days(date).time_since_epoch().count();
  return int64_t{days} * 86400 + hour * 3600 + minute * 60 + second - offset;
}

}  // namespace bulkhead
