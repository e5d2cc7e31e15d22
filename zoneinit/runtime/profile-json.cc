// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/profile-json.h"

#include <string.h>

#include <kj/vector.h>

#include "services/runtime/failure.h"
#include "zoneinit/runtime/system-call-program.h"

namespace bulkhead::zone {
namespace {

constexpr size_t kMostBytes = 256 << 10;
constexpr size_t kDeepest = 16;       // a profile has five levels; a comment may have more
constexpr size_t kDoubleDigits = 15;  // a double holds every whole number of that many digits

bool isDigit(char c) { return c >= '0' && c <= '9'; }

bool isInNumber(char c) {
  return isDigit(c) || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

bool isWhole(kj::ArrayPtr<const char> number) {
  for (char c : number) {
    if (!isDigit(c)) return false;
  }
  return true;
}

// The same text with long whole numbers in quotes: the codec reads numbers as doubles, and an
// argument has 64 bits. What is no JSON stays none.
kj::Vector<char> quoteLongNumbers(kj::ArrayPtr<const char> json) {
  kj::Vector<char> result(json.size());
  bool inString = false;
  for (size_t i = 0; i < json.size(); ++i) {
    char c = json[i];
    if (!inString && isDigit(c)) {
      size_t end = i;
      while (end < json.size() && isInNumber(json[end])) ++end;
      auto number = json.slice(i, end);
      bool negative = i > 0 && json[i - 1] == '-';
      bool quoted = !negative && number.size() > kDoubleDigits && isWhole(number);
      if (quoted) result.add('"');
      result.addAll(number);
      if (quoted) result.add('"');
      i = end - 1;
      continue;
    }
    result.add(c);
    if (c == '"') inString = !inString;
    if (inString && c == '\\' && i + 1 < json.size()) result.add(json[++i]);
  }
  return result;
}

kj::Maybe<uint64_t> wholeNumber(kj::StringPtr digits) {
  if (digits.size() == 0 || !isWhole(digits)) return nullptr;
  // The parser would take it for octal.
  if (digits.size() > 1 && digits[0] == '0') return nullptr;
  return digits.tryParseAs<uint64_t>();
}

kj::Maybe<uint64_t> wholeNumber(double number) {
  // Longer ones were quoted, unless written with an exponent.
  if (!(number >= 0 && number < 1e15)) return nullptr;
  auto whole = static_cast<uint64_t>(number);
  if (static_cast<double>(whole) != number) return nullptr;
  return whole;
}

}  // namespace

ProfileValue::ProfileValue(capnp::JsonValue::Reader valueParam, kj::String placeParam)
    : value(valueParam), place(kj::mv(placeParam)) {}

kj::Maybe<ProfileValue> ProfileValue::find(kj::StringPtr name) const {
  if (!value.isObject()) refuse("must be an object");
  kj::Maybe<ProfileValue> found;
  for (auto field : value.getObject()) {
    if (field.getName() != name) continue;
    auto inside = place.size() == 0 ? kj::str(name) : kj::str(place, '.', name);
    ProfileValue member(field.getValue(), kj::mv(inside));
    // Which of the two counts differs between readers.
    if (found != nullptr) member.refuse("is given twice");
    found = kj::mv(member);
  }
  KJ_IF_MAYBE (member, found) {
    if (member->value.isNull()) return nullptr;
  }
  return found;
}

ProfileValue ProfileValue::need(kj::StringPtr name) const {
  KJ_IF_MAYBE (member, find(name)) {
    return kj::mv(*member);
  }
  refuse(kj::str("lacks \"", name, '"'));
}

kj::StringPtr ProfileValue::text() const {
  if (!value.isString()) refuse("must be a string");
  kj::StringPtr text = value.getString();
  if (strlen(text.cStr()) != text.size()) refuse("has a NUL byte in it");
  return text;
}

uint64_t ProfileValue::number(uint64_t most) const {
  kj::Maybe<uint64_t> number;
  if (value.isNumber()) number = wholeNumber(value.getNumber());
  if (value.isString()) number = wholeNumber(value.getString());
  KJ_IF_MAYBE (known, number) {
    if (*known <= most) return *known;
  }
  refuse(kj::str("must be a whole number from 0 to ", most));
}

kj::Array<ProfileValue> ProfileValue::elements(size_t most) const {
  if (!value.isArray()) refuse("must be an array");
  auto array = value.getArray();
  if (array.size() > most) {
    refuse(kj::str("has ", array.size(), " elements, and ", most, " is the most"));
  }
  auto builder = kj::heapArrayBuilder<ProfileValue>(array.size());
  for (auto element : array) {
    auto inside = kj::str(place, '[', builder.size(), ']');
    builder.add(element, kj::mv(inside));
  }
  return builder.finish();
}

kj::String ProfileValue::message(kj::StringPtr why) const {
  return kj::str(place.size() == 0 ? "the profile"_kj : place.asPtr(), ' ', why);
}

void ProfileValue::refuse(kj::StringPtr why, kj::StringPtr hint) const {
  fail(FailureCode::INVALID, kSystemCallsSubject, message(why), hint);
}

void ProfileValue::refuseWord(kj::StringPtr why, kj::StringPtr hint) const {
  refuse(kj::str('"', printable(text(), 64), "\" ", why), hint);
}

void ProfileValue::refuseUnsupported(kj::StringPtr why, kj::StringPtr hint) const {
  fail(FailureCode::UNSUPPORTED, kSystemCallsSubject, message(why), hint);
}

ProfileDocument::ProfileDocument(kj::ArrayPtr<const kj::byte> json) {
  if (json.size() > kMostBytes) {
    fail(FailureCode::INVALID, kSystemCallsSubject,
         kj::str("the profile has ", json.size(), " bytes, and ", kMostBytes, " is the most"));
  }
  capnp::JsonCodec codec;
  codec.setMaxNestingDepth(kDeepest);
  auto text = quoteLongNumbers(json.asChars());
  try {
    codec.decodeRaw(text, message.initRoot<capnp::JsonValue>());
  } catch (...) {
    auto exception = kj::getCaughtExceptionAsKj();
    fail(FailureCode::INVALID, kSystemCallsSubject,
         kj::str("the profile is no JSON: ", printable(exception.getDescription(), 256)));
  }
}

ProfileValue ProfileDocument::root() {
  return ProfileValue(message.getRoot<capnp::JsonValue>().asReader(), kj::String());
}

}  // namespace bulkhead::zone
