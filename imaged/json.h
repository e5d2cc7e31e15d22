// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>

#include <kj/common.h>
#include <kj/memory.h>
#include <kj/string.h>
#include <kj/vector.h>

namespace bulkhead {

struct JsonLimits {
  size_t bytes = 4u << 20;
  size_t depth = 32;
  // Values of any kind in the whole document.
  size_t values = 200'000;
};

// One value of a parsed document. `JsonView` is how it is read.
struct JsonValue {
  enum class Kind { null, boolean, unsignedInteger, otherNumber, string, array, object };
  struct Member;

  Kind kind = Kind::null;
  bool boolean = false;
  uint64_t number = 0;
  kj::String text;
  kj::Vector<JsonValue> items;
  kj::Vector<Member> members;
};
struct JsonValue::Member {
  kj::String key;
  JsonValue value;
};

// RFC 8259, strictly: valid UTF-8, no repeated key, no NUL in a string, nothing after the value.
// `what` names the document in errors ("manifest"), `subject` what it was wanted for. Fails with
// `invalid`, or `exhausted` where a limit is exceeded.
JsonValue parseJson(kj::ArrayPtr<const kj::byte> bytes, kj::StringPtr what, kj::StringPtr subject,
                    const JsonLimits& limits = {});

// A place in a document, that names itself in errors: "manifest.layers[3].size is missing". Borrows
// the document and the subject.
class JsonView {
 public:
  JsonView(const JsonValue& value, kj::StringPtr what, kj::StringPtr subject)
      : value(&value), path(kj::str(what)), subject(subject) {}

  // The member of that name; none where it is absent or null. Fails if this is no object.
  kj::Maybe<JsonView> member(kj::StringPtr key) const;

  // The member of that name, which must be there.
  JsonView required(kj::StringPtr key) const;

  bool has(kj::StringPtr key) const { return member(key) != nullptr; }

  // A string of at most `most` bytes.
  kj::String text(size_t most = 4096) const;

  // The string member of that name, or "".
  kj::String textOf(kj::StringPtr key, size_t most = 4096) const;

  // An integer from 0 to 2^63-1.
  uint64_t number() const;

  // An array of at most `most` items.
  kj::Vector<JsonView> items(size_t most) const;

  // An object's members, at most `most`, in the document's order.
  struct Named;
  kj::Vector<Named> members(size_t most) const;

  // Ends with `invalid`, this place and `why`.
  [[noreturn]] void reject(kj::StringPtr why) const;

 private:
  const JsonValue* value;
  kj::String path;
  kj::StringPtr subject;

  JsonView(const JsonValue& value, kj::String path, kj::StringPtr subject)
      : value(&value), path(kj::mv(path)), subject(subject) {}
};
struct JsonView::Named {
  kj::StringPtr key;
  JsonView value;
};

}  // namespace bulkhead
