// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/failure.h"

#include <string_view>

#include <capnp/schema.h>
#include <kj/debug.h>
#include <kj/vector.h>

namespace bulkhead {
namespace {

// ASCII record and unit separators: removed from every field on the way in.
constexpr char kRecord = '\x1e';
constexpr char kUnit = '\x1f';
constexpr kj::StringPtr kMark =
    "\x1e"
    "failure\x1f"_kj;

kj::String stripped(kj::StringPtr text) {
  auto copy = kj::str(text);
  for (char& c : copy.asArray()) {
    if (c == kRecord || c == kUnit) c = ' ';
  }
  return copy;
}

kj::Maybe<size_t> find(kj::StringPtr haystack, kj::StringPtr needle) {
  for (size_t i = 0; i + needle.size() <= haystack.size(); ++i) {
    if (haystack.slice(i).startsWith(needle)) return i;
  }
  return nullptr;
}

kj::Maybe<Failure> decode(kj::StringPtr description) {
  size_t begin;
  KJ_IF_MAYBE (at, find(description, kMark)) {
    begin = *at + kMark.size();
  } else {
    return nullptr;
  }
  kj::Vector<kj::String> fields;
  size_t start = begin;
  for (size_t i = begin; i < description.size(); ++i) {
    char c = description[i];
    if (c != kUnit && c != kRecord) continue;
    fields.add(kj::str(description.slice(start, i)));
    start = i + 1;
    if (c == kRecord) break;
  }
  if (fields.size() != 4) return nullptr;
  KJ_IF_MAYBE (code, fields[0].tryParseAs<uint16_t>()) {
    return Failure{static_cast<FailureCode>(*code), kj::mv(fields[1]), kj::mv(fields[2]),
                   kj::mv(fields[3])};
  }
  return nullptr;
}

}  // namespace

kj::Exception Failure::toException() const {
  return kj::Exception(kj::Exception::Type::FAILED, "bulkhead", 0,
                       kj::str(kMark, static_cast<unsigned>(code), kUnit, stripped(subject), kUnit,
                               stripped(message), kUnit, stripped(hint), kRecord));
}

kj::String Failure::describe() const {
  auto text = subject.size() == 0 ? kj::str(message) : kj::str(subject, ": ", message);
  if (hint.size() > 0) text = kj::str(text, " (", hint, ")");
  return printable(text, 4096);
}

Failure Failure::clone() const { return failure(code, subject, message, hint); }

Failure failure(FailureCode code, kj::StringPtr subject, kj::StringPtr message,
                kj::StringPtr hint) {
  return Failure{code, kj::str(subject), kj::str(message), kj::str(hint)};
}

void fail(FailureCode code, kj::StringPtr subject, kj::StringPtr message, kj::StringPtr hint) {
  kj::throwFatalException(failure(code, subject, message, hint).toException());
}

Failure failureOf(const kj::Exception& exception) {
  KJ_IF_MAYBE (found, decode(exception.getDescription())) {
    return kj::mv(*found);
  }
  switch (exception.getType()) {
    case kj::Exception::Type::UNIMPLEMENTED:
      return failure(FailureCode::UNSUPPORTED, "", "this build does not serve that call");
    case kj::Exception::Type::DISCONNECTED:
      return failure(FailureCode::UNREACHABLE, "", exception.getDescription(),
                     "the service is restarting; try again");
    case kj::Exception::Type::OVERLOADED:
      return failure(FailureCode::EXHAUSTED, "", exception.getDescription());
    case kj::Exception::Type::FAILED:
      break;
  }
  return failure(FailureCode::INTERNAL, "", exception.getDescription());
}

bool isFailure(const kj::Exception& exception, FailureCode code) {
  KJ_IF_MAYBE (found, decode(exception.getDescription())) {
    return found->code == code;
  }
  return false;
}

bool isDisconnected(const kj::Exception& exception) {
  return exception.getType() == kj::Exception::Type::DISCONNECTED;
}

kj::StringPtr codeName(FailureCode code) {
  auto enumerants = capnp::Schema::from<FailureCode>().getEnumerants();
  auto number = static_cast<unsigned>(code);
  if (number >= enumerants.size()) return "unknown";
  return enumerants[number].getProto().getName();
}

kj::String printable(kj::ArrayPtr<const char> text, size_t limit) {
  static constexpr std::string_view kHex = "0123456789abcdef";
  auto shown = text.slice(0, kj::min(text.size(), limit));
  kj::Vector<char> out(shown.size() + 8);
  for (char c : shown) {
    auto byte = static_cast<unsigned char>(c);
    bool control = (byte < 0x20 && byte != '\t') || byte == 0x7f || byte == 0xfe || byte == 0xff;
    if (control) {
      out.addAll(kj::ArrayPtr<const char>("\\x", 2));
      out.add(kHex[byte >> 4]);
      out.add(kHex[byte & 15]);
    } else {
      out.add(c);
    }
  }
  if (shown.size() < text.size()) out.addAll(kj::StringPtr("..."));
  out.add('\0');
  return kj::String(out.releaseAsArray());
}

}  // namespace bulkhead
