// SPDX-License-Identifier: Apache-2.0
#include "services/cli/table.h"

#include <stdio.h>

#include <span>

#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

template <typename... Args>
kj::String formatted(const char* format, Args... args) {
  char buffer[64];
  snprintf(buffer, sizeof buffer, format, args...);
  return kj::str(kj::StringPtr(buffer));
}

}  // namespace

Table::Table(std::initializer_list<kj::StringPtr> titles) {
  if (titles.size() > 0) add(titles);
}

void Table::add(std::initializer_list<kj::StringPtr> cells) {
  auto row = kj::heapArrayBuilder<kj::String>(cells.size());
  size_t column = 0;
  for (auto cell : cells) {
    row.add(printable(cell, 256));
    if (widths.size() <= column) widths.add(0);
    widths[column] = kj::max(widths[column], row[column].size());
    ++column;
  }
  rows.add(row.finish());
}

kj::String Table::text() const {
  kj::Vector<kj::String> lines;
  for (auto& row : rows) {
    kj::Vector<char> line;
    for (size_t i = 0; i < row.size(); ++i) {
      line.addAll(row[i]);
      if (i + 1 == row.size()) break;
      for (size_t pad = row[i].size(); pad < widths[i] + 2; ++pad) line.add(' ');
    }
    lines.add(kj::str(line.asPtr(), '\n'));
  }
  return kj::strArray(lines, "");
}

kj::String sizeText(uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < kj::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  return unit == 0 ? kj::str(bytes, " B") : formatted("%.1f %s", value, std::span(kUnits)[unit]);
}

kj::String durationText(uint64_t nanoseconds) {
  auto value = static_cast<double>(nanoseconds);
  if (nanoseconds >= 1000000000u) return formatted("%.3f s", value / 1e9);
  if (nanoseconds >= 1000000u) return formatted("%.1f ms", value / 1e6);
  return formatted("%.1f us", value / 1e3);
}

kj::String ageText(uint64_t then, uint64_t now) {
  if (then == 0) return kj::str("-");
  uint64_t seconds = now > then ? (now - then) / 1000000000u : 0;
  struct Unit {
    uint64_t seconds;
    kj::StringPtr name;
  };
  constexpr Unit kUnits[] = {
      {86400, "day"_kj}, {3600, "hour"_kj}, {60, "minute"_kj}, {1, "second"_kj}};
  for (auto& unit : kUnits) {
    if (seconds < unit.seconds && unit.seconds > 1) continue;
    auto count = seconds / unit.seconds;
    return kj::str(count, ' ', unit.name, count == 1 ? " ago" : "s ago");
  }
  return kj::str("-");
}

}  // namespace bulkhead
