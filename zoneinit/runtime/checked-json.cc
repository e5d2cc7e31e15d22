// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/checked-json.h"

#include <string.h>

#include <cmath>

#include <kj/vector.h>

#include "services/runtime/failure.h"

namespace bulkhead::zone {
namespace {

constexpr size_t kDeepest = 16;       // a configuration has six levels; a comment may have more
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

CheckedJson::CheckedJson(const JsonSource& sourceParam, capnp::JsonValue::Reader valueParam,
                         kj::String placeParam)
    : source(&sourceParam), value(valueParam), place(kj::mv(placeParam)) {}

kj::Maybe<CheckedJson> CheckedJson::find(kj::StringPtr name) const {
  if (!value.isObject()) refuse("must be an object");
  kj::Maybe<CheckedJson> found;
  for (auto field : value.getObject()) {
    if (field.getName() != name) continue;
    CheckedJson member(*source, field.getValue(), placeOf(name));
    // Which of the two counts differs between readers.
    if (found != nullptr) member.refuse("is given twice");
    found = kj::mv(member);
  }
  KJ_IF_MAYBE (member, found) {
    if (member->value.isNull()) return nullptr;
  }
  return found;
}

kj::Array<CheckedJson::Member> CheckedJson::members(size_t most) const {
  if (!value.isObject()) refuse("must be an object");
  auto object = value.getObject();
  if (object.size() > most) {
    refuse(kj::str("has ", object.size(), " members, and ", most, " is the most"));
  }
  kj::Vector<Member> result;
  for (auto field : object) {
    KJ_IF_MAYBE (member, find(field.getName())) {
      result.add(Member{field.getName(), kj::mv(*member)});
    }
  }
  return result.releaseAsArray();
}

CheckedJson CheckedJson::need(kj::StringPtr name) const {
  KJ_IF_MAYBE (member, find(name)) {
    return kj::mv(*member);
  }
  refuse(kj::str("lacks \"", name, '"'));
}

kj::StringPtr CheckedJson::text() const {
  if (!value.isString()) refuse("must be a string");
  kj::StringPtr text = value.getString();
  if (strlen(text.cStr()) != text.size()) refuse("has a NUL byte in it");
  return text;
}

CheckedJson::Truth CheckedJson::truth() const {
  if (!value.isBoolean()) refuse("must be true or false");
  return value.getBoolean() ? Truth::yes : Truth::no;
}

int64_t CheckedJson::integer(int64_t most) const {
  if (!value.isNumber()) refuse("must be a number");
  auto magnitude = wholeNumber(std::abs(value.getNumber()));
  KJ_IF_MAYBE (known, magnitude) {
    auto number = static_cast<int64_t>(*known);
    if (number <= most) return value.getNumber() < 0 ? -number : number;
  }
  refuse(kj::str("must be a whole number from ", -most, " to ", most));
}

kj::String CheckedJson::encoded() const { return capnp::JsonCodec().encodeRaw(value); }

uint64_t CheckedJson::number(uint64_t most) const {
  kj::Maybe<uint64_t> number;
  if (value.isNumber()) number = wholeNumber(value.getNumber());
  if (value.isString()) number = wholeNumber(value.getString());
  KJ_IF_MAYBE (known, number) {
    if (*known <= most) return *known;
  }
  refuse(kj::str("must be a whole number from 0 to ", most));
}

kj::Array<CheckedJson> CheckedJson::elements(size_t most) const {
  if (!value.isArray()) refuse("must be an array");
  auto array = value.getArray();
  if (array.size() > most) {
    refuse(kj::str("has ", array.size(), " elements, and ", most, " is the most"));
  }
  auto builder = kj::heapArrayBuilder<CheckedJson>(array.size());
  for (auto element : array) {
    auto inside = kj::str(place, '[', builder.size(), ']');
    builder.add(*source, element, kj::mv(inside));
  }
  return builder.finish();
}

kj::String CheckedJson::placeOf(kj::StringPtr member) const {
  return place.size() == 0 ? kj::str(member) : kj::str(place, '.', member);
}

kj::String CheckedJson::message(kj::StringPtr why) const {
  return kj::str(place.size() == 0 ? source->whole : place.asPtr(), ' ', why);
}

void CheckedJson::refuse(kj::StringPtr why, kj::StringPtr hint) const {
  fail(FailureCode::INVALID, source->subject, message(why), hint);
}

void CheckedJson::refuseWord(kj::StringPtr why, kj::StringPtr hint) const {
  refuse(kj::str('"', printable(text(), 64), "\" ", why), hint);
}

void CheckedJson::refuseUnsupported(kj::StringPtr why, kj::StringPtr hint) const {
  fail(FailureCode::UNSUPPORTED, source->subject, message(why), hint);
}

CheckedJsonDocument::CheckedJsonDocument(const JsonSource& sourceParam,
                                         kj::ArrayPtr<const kj::byte> json)
    : source(sourceParam) {
  if (json.size() > source.mostBytes) {
    fail(FailureCode::INVALID, source.subject,
         kj::str(source.whole, " has ", json.size(), " bytes, and ", source.mostBytes,
                 " is the most"));
  }
  capnp::JsonCodec codec;
  codec.setMaxNestingDepth(kDeepest);
  auto text = quoteLongNumbers(json.asChars());
  try {
    codec.decodeRaw(text, message.initRoot<capnp::JsonValue>());
  } catch (...) {
    auto exception = kj::getCaughtExceptionAsKj();
    fail(FailureCode::INVALID, source.subject,
         kj::str(source.whole, " is no JSON: ", printable(exception.getDescription(), 256)));
  }
}

CheckedJson CheckedJsonDocument::root() {
  return CheckedJson(source, message.getRoot<capnp::JsonValue>().asReader(), kj::String());
}

}  // namespace bulkhead::zone
