// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <capnp/compat/json.h>
#include <capnp/message.h>

#include <cstdint>

#include <kj/array.h>
#include <kj/string.h>

namespace bulkhead::zone {

// A value in a profile, which knows where it stands: "syscalls[3].action". Borrows from its
// document. Every method fails with `invalid`, naming that place, where the value is of another
// kind than the one asked for.
class ProfileValue {
 public:
  ProfileValue(capnp::JsonValue::Reader value, kj::String place);

  // An object's member; one that is null is none. Fails with `invalid` for one given twice.
  kj::Maybe<ProfileValue> find(kj::StringPtr name) const;

  // The same, and fails with `invalid` where there is none.
  ProfileValue need(kj::StringPtr name) const;

  // A string without NUL bytes.
  kj::StringPtr text() const;

  // A whole number from 0 to `most`, exact up to 64 bits. Its digits may stand in a string, as
  // Cap'n Proto writes what does not fit into a double.
  uint64_t number(uint64_t most) const;

  // An array's elements, `most` at most.
  kj::Array<ProfileValue> elements(size_t most) const;

  [[noreturn]] void refuse(kj::StringPtr why, kj::StringPtr hint = "") const;

  // The same for a string that is none of the words its place takes.
  [[noreturn]] void refuseWord(kj::StringPtr why, kj::StringPtr hint = "") const;

  // The same with the code `unsupported`: understood, and not to be had in a zone.
  [[noreturn]] void refuseUnsupported(kj::StringPtr why, kj::StringPtr hint = "") const;

 private:
  capnp::JsonValue::Reader value;
  kj::String place;  // empty: the whole profile

  kj::String message(kj::StringPtr why) const;
};

// A profile's JSON text, read.
class ProfileDocument {
 public:
  // Fails with `invalid` for more than 256 KiB, for what is no JSON and for what is nested deeper
  // than any profile.
  explicit ProfileDocument(kj::ArrayPtr<const kj::byte> json);

  ProfileValue root();

 private:
  capnp::MallocMessageBuilder message;
};

}  // namespace bulkhead::zone
