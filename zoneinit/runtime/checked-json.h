// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <capnp/compat/json.h>
#include <capnp/message.h>

#include <cstdint>

#include <kj/array.h>
#include <kj/string.h>

namespace bulkhead::zone {

// What a document is: the subject of failures, and how they name the whole of it.
struct JsonSource {
  kj::StringPtr subject;
  kj::StringPtr whole;
  size_t mostBytes;
};

// A value in a document, which knows where it stands: "syscalls[3].action". Borrows from its
// document. Every method fails with `invalid`, naming that place, where the value is of another
// kind than the one asked for.
class CheckedJson {
 public:
  CheckedJson(const JsonSource& source, capnp::JsonValue::Reader value, kj::String place);

  // An object's member; one that is null is none. Fails with `invalid` for one given twice.
  kj::Maybe<CheckedJson> find(kj::StringPtr name) const;

  // The same, and fails with `invalid` where there is none.
  CheckedJson need(kj::StringPtr name) const;

  // An object's members, `most` at most, each once; those that are null are left out.
  struct Member;
  kj::Array<Member> members(size_t most) const;

  // A string without NUL bytes.
  kj::StringPtr text() const;

  // True or false.
  enum class Truth { no, yes };
  Truth truth() const;

  // A whole number from -`most` to `most`.
  int64_t integer(int64_t most) const;

  // The value as JSON again.
  kj::String encoded() const;

  // A whole number from 0 to `most`, exact up to 64 bits. Its digits may stand in a string, as
  // Cap'n Proto writes what does not fit into a double.
  uint64_t number(uint64_t most) const;

  // An array's elements, `most` at most.
  kj::Array<CheckedJson> elements(size_t most) const;

  [[noreturn]] void refuse(kj::StringPtr why, kj::StringPtr hint = "") const;

  // The same for a string that is none of the words its place takes.
  [[noreturn]] void refuseWord(kj::StringPtr why, kj::StringPtr hint = "") const;

  // The same with the code `unsupported`: understood, and not to be had in a zone.
  [[noreturn]] void refuseUnsupported(kj::StringPtr why, kj::StringPtr hint = "") const;

 private:
  const JsonSource* source;
  capnp::JsonValue::Reader value;
  kj::String place;  // empty: the whole document

  kj::String placeOf(kj::StringPtr member) const;
  kj::String message(kj::StringPtr why) const;
};

struct CheckedJson::Member {
  kj::StringPtr name;
  CheckedJson value;
};

// A JSON text, read. Outlives its values.
class CheckedJsonDocument {
 public:
  // Fails with `invalid` for more bytes than its kind may have, for what is no JSON and for what is
  // nested deeper than any such document.
  CheckedJsonDocument(const JsonSource& source, kj::ArrayPtr<const kj::byte> json);

  CheckedJson root();

 private:
  const JsonSource& source;
  capnp::MallocMessageBuilder message;
};

}  // namespace bulkhead::zone
