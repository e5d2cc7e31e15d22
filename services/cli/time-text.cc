// SPDX-License-Identifier: Apache-2.0
#include "services/cli/time-text.h"

#include <charconv>
#include <chrono>
#include <string_view>

#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint64_t kDay = 24 * 3600 * kSecond;
constexpr uint64_t kLongest = 36'600 * kDay;  // a hundred years

struct Unit {
  std::string_view name;
  uint64_t nanoseconds;
};

// The longer name first where one begins as the other.
constexpr Unit kUnits[] = {{"ms", kSecond / 1000},
                           {"d", kDay},
                           {"h", 3600 * kSecond},
                           {"m", 60 * kSecond},
                           {"s", kSecond}};

// Takes what it reads off the front of a text; false where the text is another.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest(text) {}

  bool atEnd() const { return rest.empty(); }

  bool take(std::string_view expected) {
    if (!rest.starts_with(expected)) return false;
    rest.remove_prefix(expected.size());
    return true;
  }

  // `most` digits at most; exactly as many with `least` the same.
  bool number(uint64_t& value, size_t least, size_t most) {
    size_t digits = 0;
    while (digits < most && digits < rest.size() && rest[digits] >= '0' && rest[digits] <= '9') {
      ++digits;
    }
    if (digits < least) return false;
    taken = digits;
    auto from = rest.substr(0, digits);
    rest.remove_prefix(digits);
    return std::from_chars(from.begin(), from.end(), value).ec == std::errc();
  }

  // How many digits the last number had.
  size_t digits() const { return taken; }

 private:
  std::string_view rest;
  size_t taken = 0;
};

// "1h30m", or nothing.
kj::Maybe<uint64_t> parseDuration(std::string_view text) {
  Scanner scanner(text);
  uint64_t total = 0;
  do {
    uint64_t count = 0;
    if (!scanner.number(count, 1, 12)) return nullptr;
    const Unit* found = nullptr;
    for (auto& unit : kUnits) {
      if (found == nullptr && scanner.take(unit.name)) found = &unit;
    }
    if (found == nullptr || count > kLongest / found->nanoseconds) return nullptr;
    total += count * found->nanoseconds;
  } while (!scanner.atEnd() && total <= kLongest);
  if (!scanner.atEnd()) return nullptr;
  return total;
}

// Of "Z", "+02:00": how many seconds it is before UTC.
kj::Maybe<int64_t> parseOffset(Scanner& scanner) {
  if (scanner.take("Z") || scanner.take("z")) return int64_t{0};
  int64_t sign = scanner.take("+") ? 1 : scanner.take("-") ? -1 : 0;
  uint64_t hours = 0, minutes = 0;
  if (sign == 0 || !scanner.number(hours, 2, 2) || !scanner.take(":") ||
      !scanner.number(minutes, 2, 2) || hours > 23 || minutes > 59) {
    return nullptr;
  }
  return sign * static_cast<int64_t>(hours * 3600 + minutes * 60);
}

kj::Maybe<uint64_t> parseTime(std::string_view text) {
  Scanner scanner(text);
  uint64_t year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, fraction = 0;
  bool form = scanner.number(year, 4, 4) && scanner.take("-") && scanner.number(month, 2, 2) &&
              scanner.take("-") && scanner.number(day, 2, 2) &&
              (scanner.take("T") || scanner.take("t") || scanner.take(" ")) &&
              scanner.number(hour, 2, 2) && scanner.take(":") && scanner.number(minute, 2, 2) &&
              scanner.take(":") && scanner.number(second, 2, 2);
  if (!form || hour > 23 || minute > 59 || second > 60) return nullptr;
  if (scanner.take(".")) {
    if (!scanner.number(fraction, 1, 9)) return nullptr;
    for (size_t digits = scanner.digits(); digits < 9; ++digits) fraction *= 10;
  }
  std::chrono::year_month_day date{std::chrono::year(static_cast<int>(year)),
                                   std::chrono::month(static_cast<unsigned>(month)),
                                   std::chrono::day(static_cast<unsigned>(day))};
  KJ_IF_MAYBE (offset, parseOffset(scanner)) {
    if (!date.ok() || !scanner.atEnd()) return nullptr;
    auto seconds = std::chrono::sys_days(date).time_since_epoch().count() * int64_t{86400} +
                   static_cast<int64_t>(hour * 3600 + minute * 60 + second) - *offset;
    // Zero stands for no time, and 64 bits of nanoseconds end in 2554.
    if (seconds < 1 || year > 2500) return nullptr;
    return static_cast<uint64_t>(seconds) * kSecond + fraction;
  }
  return nullptr;
}

}  // namespace

uint64_t timeNanoseconds(kj::StringPtr text, uint64_t now, kj::StringPtr option) {
  std::string_view view(text.begin(), text.size());
  KJ_IF_MAYBE (time, parseTime(view)) {
    return *time;
  }
  KJ_IF_MAYBE (before, parseDuration(view)) {
    return *before < now ? now - *before : 1;
  }
  fail(FailureCode::INVALID, option, kj::str("'", text, "' is no time"),
       "write it as 2026-01-02T03:04:05Z, or how long ago it was as 10m, 1h30m, 45s");
}

kj::Duration durationOf(kj::StringPtr text, kj::StringPtr option) {
  std::string_view view(text.cStr(), text.size());
  bool number = !view.empty() && view.find_first_not_of("0123456789") == view.npos;
  auto withUnit = number ? kj::str(text, "s") : kj::str(text);
  KJ_IF_MAYBE (nanoseconds, parseDuration({withUnit.cStr(), withUnit.size()})) {
    return static_cast<int64_t>(*nanoseconds) * kj::NANOSECONDS;
  }
  fail(FailureCode::INVALID, option, kj::str("'", printable(text, 64), "' is no span of time"),
       "give seconds, or a span of time such as 10m or 1h30m");
}

}  // namespace bulkhead
