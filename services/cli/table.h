// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdint.h>

#include <kj/string.h>
#include <kj/vector.h>

#include <initializer_list>

namespace bulkhead {

// Columns of text, as wide as they need to be. Cells are made printable: they may come from images
// and zones.
class Table {
 public:
  // No titles: a table without a head.
  explicit Table(std::initializer_list<kj::StringPtr> titles);

  void add(std::initializer_list<kj::StringPtr> cells);

  // All lines, each with its end.
  kj::String text() const;

 private:
  kj::Vector<kj::Array<kj::String>> rows;
  kj::Vector<size_t> widths;
};

// "12.3 MiB"
kj::String sizeText(uint64_t bytes);

// "1.234 s", "56.7 ms"
kj::String durationText(uint64_t nanoseconds);

// "3 minutes ago"
kj::String ageText(uint64_t thenUnixNanoseconds, uint64_t nowUnixNanoseconds);

}  // namespace bulkhead
