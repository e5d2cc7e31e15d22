// SPDX-License-Identifier: Apache-2.0
#include "services/cli/json.h"

#include <capnp/compat/json.h>
#include <capnp/message.h>
#include <stdio.h>
#include <time.h>

namespace bulkhead {

Json Json::null() { return {}; }

Json Json::of(kj::StringPtr value) {
  Json json;
  json.kind = Kind::text;
  json.text = kj::str(value);
  return json;
}

Json Json::of(double value) {
  Json json;
  json.kind = Kind::number;
  json.number = value;
  return json;
}

Json Json::boolean(bool truth) {
  Json value;
  value.kind = Kind::boolean;
  value.number = truth ? 1 : 0;
  return value;
}

Json Json::list() {
  Json value;
  value.kind = Kind::list;
  return value;
}

Json Json::object() {
  Json value;
  value.kind = Kind::object;
  return value;
}

Json& Json::set(kj::StringPtr key, Json value) {
  keys.add(kj::str(key));
  items.add(kj::heap(kj::mv(value)));
  return *this;
}

Json& Json::add(Json value) {
  items.add(kj::heap(kj::mv(value)));
  return *this;
}

template <typename Builder>
void Json::writeTo(Builder builder) const {
  auto count = static_cast<unsigned>(items.size());
  switch (kind) {
    case Kind::null:
      builder.setNull();
      break;
    case Kind::boolean:
      builder.setBoolean(number > 0);
      break;
    case Kind::number:
      builder.setNumber(number);
      break;
    case Kind::text:
      builder.setString(text);
      break;
    case Kind::list: {
      auto list = builder.initArray(count);
      for (unsigned i = 0; i < count; ++i) items[i]->writeTo(list[i]);
      break;
    }
    case Kind::object: {
      auto fields = builder.initObject(count);
      for (unsigned i = 0; i < count; ++i) {
        fields[i].setName(keys[i]);
        items[i]->writeTo(fields[i].initValue());
      }
      break;
    }
  }
}

kj::String Json::encode() const {
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<capnp::JsonValue>();
  writeTo(root);
  capnp::JsonCodec codec;
  codec.setPrettyPrint(true);
  return codec.encodeRaw(root.asReader());
}

Json timeOf(uint64_t unixNanoseconds) {
  if (unixNanoseconds == 0) return Json::null();
  auto seconds = static_cast<time_t>(unixNanoseconds / 1000000000u);
  tm parts{};
  gmtime_r(&seconds, &parts);
  char date[40];
  strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
  char whole[64];
  snprintf(whole, sizeof whole, "%s.%09uZ", date,
           static_cast<unsigned>(unixNanoseconds % 1000000000u));
  return Json::of(kj::StringPtr(whole));
}

}  // namespace bulkhead
