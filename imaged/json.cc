// SPDX-License-Identifier: Apache-2.0
#include "imaged/json.h"

#include <simdjson.h>
#include <string.h>

#include <kj/map.h>

#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

namespace dom = simdjson::dom;

class Converter {
 public:
  Converter(kj::StringPtr what, kj::StringPtr subject, const JsonLimits& limits)
      : what(what), subject(subject), limits(limits) {}

  [[noreturn]] void reject(kj::StringPtr why) {
    fail(FailureCode::INVALID, subject, kj::str(what, " ", why));
  }

  // The parser has bounded the depth, so the recursion is bounded too.
  JsonValue convert(dom::element element) {
    if (++values > limits.values) {
      fail(FailureCode::EXHAUSTED, subject,
           kj::str(what, " holds more than ", limits.values, " values"));
    }
    JsonValue result;
    switch (element.type()) {
      case dom::element_type::NULL_VALUE:
        break;
      case dom::element_type::BOOL:
        result.kind = JsonValue::Kind::boolean;
        result.boolean = element.get_bool().value_unsafe();
        break;
      case dom::element_type::INT64: {
        auto number = element.get_int64().value_unsafe();
        result.kind = number >= 0 ? JsonValue::Kind::unsignedInteger : JsonValue::Kind::otherNumber;
        result.number = number >= 0 ? static_cast<uint64_t>(number) : 0;
        break;
      }
      case dom::element_type::STRING:
        result.kind = JsonValue::Kind::string;
        result.text = text(element.get_string().value_unsafe());
        break;
      case dom::element_type::ARRAY:
        result.kind = JsonValue::Kind::array;
        for (auto item : element.get_array().value_unsafe()) result.items.add(convert(item));
        break;
      case dom::element_type::OBJECT:
        convertObject(element.get_object().value_unsafe(), result);
        break;
      default:
        // Above 2^63, or with a fraction or an exponent.
        result.kind = JsonValue::Kind::otherNumber;
        break;
    }
    return result;
  }

 private:
  kj::StringPtr what;
  kj::StringPtr subject;
  const JsonLimits& limits;
  size_t values = 0;

  kj::String text(std::string_view view) {
    if (memchr(view.data(), 0, view.size()) != nullptr) reject("has a NUL character in a string");
    return kj::heapString(view.data(), view.size());
  }

  void convertObject(dom::object object, JsonValue& result) {
    result.kind = JsonValue::Kind::object;
    for (auto field : object) {
      result.members.add(JsonValue::Member{text(field.key), convert(field.value)});
    }
    kj::HashSet<kj::StringPtr> seen;
    for (const auto& member : result.members) {
      if (seen.contains(member.key)) {
        reject(kj::str("has the key '", printable(member.key, 64), "' twice"));
      }
      seen.insert(member.key);
    }
  }
};

kj::StringPtr kindName(JsonValue::Kind kind) {
  switch (kind) {
    case JsonValue::Kind::null:
      return "null";
    case JsonValue::Kind::boolean:
      return "a boolean";
    case JsonValue::Kind::unsignedInteger:
      return "an integer";
    case JsonValue::Kind::otherNumber:
      return "a number that is no integer from 0 to 2^63-1";
    case JsonValue::Kind::string:
      return "a string";
    case JsonValue::Kind::array:
      return "an array";
    case JsonValue::Kind::object:
      return "an object";
  }
  return "a value";
}

}  // namespace

JsonValue parseJson(kj::ArrayPtr<const kj::byte> bytes, kj::StringPtr what, kj::StringPtr subject,
                    const JsonLimits& limits) {
  if (bytes.size() > limits.bytes) {
    fail(FailureCode::EXHAUSTED, subject,
         kj::str(what, " has ", bytes.size(), " bytes; the limit is ", limits.bytes));
  }
  Converter converter(what, subject, limits);
  dom::parser parser(limits.bytes + 1);
  auto error = parser.allocate(bytes.size() + 1, limits.depth);
  dom::element root;
  if (!error) {
    simdjson::padded_string padded(reinterpret_cast<const char*>(bytes.begin()), bytes.size());
    error = parser.parse(padded).get(root);
  }
  if (error) converter.reject(kj::str("is not JSON: ", simdjson::error_message(error)));
  return converter.convert(root);
}

kj::Maybe<JsonView> JsonView::member(kj::StringPtr key) const {
  if (value->kind != JsonValue::Kind::object) {
    reject(kj::str("is ", kindName(value->kind), ", not an object"));
  }
  for (const auto& candidate : value->members) {
    if (candidate.key != key) continue;
    if (candidate.value.kind == JsonValue::Kind::null) return nullptr;
    return JsonView(candidate.value, kj::str(path, ".", printable(key, 64)), subject);
  }
  return nullptr;
}

JsonView JsonView::required(kj::StringPtr key) const {
  KJ_IF_MAYBE (found, member(key)) {
    return kj::mv(*found);
  }
  reject(kj::str("has no '", key, "'"));
}

kj::String JsonView::text(size_t most) const {
  if (value->kind != JsonValue::Kind::string) {
    reject(kj::str("is ", kindName(value->kind), ", not a string"));
  }
  if (value->text.size() > most) reject(kj::str("is longer than ", most, " bytes"));
  return kj::str(value->text);
}

kj::String JsonView::textOf(kj::StringPtr key, size_t most) const {
  KJ_IF_MAYBE (found, member(key)) {
    return found->text(most);
  }
  return kj::String();
}

uint64_t JsonView::number() const {
  if (value->kind != JsonValue::Kind::unsignedInteger) {
    reject(kj::str("is ", kindName(value->kind), ", not an integer from 0 to 2^63-1"));
  }
  return value->number;
}

kj::Vector<JsonView> JsonView::items(size_t most) const {
  if (value->kind != JsonValue::Kind::array) {
    reject(kj::str("is ", kindName(value->kind), ", not an array"));
  }
  if (value->items.size() > most) reject(kj::str("has more than ", most, " items"));
  kj::Vector<JsonView> result;
  for (size_t i = 0; i < value->items.size(); ++i) {
    result.add(JsonView(value->items[i], kj::str(path, "[", i, "]"), subject));
  }
  return result;
}

kj::Vector<JsonView::Named> JsonView::members(size_t most) const {
  if (value->kind != JsonValue::Kind::object) {
    reject(kj::str("is ", kindName(value->kind), ", not an object"));
  }
  if (value->members.size() > most) reject(kj::str("has more than ", most, " members"));
  kj::Vector<Named> result;
  for (const auto& entry : value->members) {
    auto place = kj::str(path, ".", printable(entry.key, 64));
    result.add(Named{entry.key, JsonView(entry.value, kj::mv(place), subject)});
  }
  return result;
}

void JsonView::reject(kj::StringPtr why) const {
  fail(FailureCode::INVALID, subject, kj::str(path, " ", why));
}

}  // namespace bulkhead
