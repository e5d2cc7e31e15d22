// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdint.h>

#include <kj/memory.h>
#include <kj/string.h>
#include <kj/vector.h>

namespace bulkhead {

// A JSON value that is built up and then written by Cap'n Proto's codec. Field names that commands
// print are stable: they are only ever added to.
class Json {
 public:
  static Json null();
  static Json of(kj::StringPtr value);
  static Json of(double value);
  static Json of(int64_t value) { return of(static_cast<double>(value)); }
  static Json boolean(bool value);
  static Json list();
  static Json object();

  // For objects; returns the object.
  Json& set(kj::StringPtr key, Json value);
  Json& set(kj::StringPtr key, kj::StringPtr value) { return set(key, of(value)); }
  Json& set(kj::StringPtr key, uint64_t value) { return set(key, of(static_cast<double>(value))); }

  // For lists; returns the list.
  Json& add(Json value);

  // Over several lines, indented, without a line end at the end.
  kj::String encode() const;

 private:
  enum class Kind { null, boolean, number, text, list, object };

  Kind kind = Kind::null;
  double number = 0;  // also of a boolean: 0 or 1
  kj::String text;
  kj::Vector<kj::String> keys;
  kj::Vector<kj::Own<Json>> items;

  template <typename Builder>
  void writeTo(Builder builder) const;
};

// Nanoseconds since 1970 as RFC 3339 text in UTC; null for 0.
Json timeOf(uint64_t unixNanoseconds);

}  // namespace bulkhead
