// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <capnp/schema.h>
#include <kj/string.h>

namespace bulkhead {

// The name of a value of an enumeration, as the schema spells it.
template <typename Enum>
kj::StringPtr enumName(Enum value) {
  auto enumerants = capnp::Schema::from<Enum>().getEnumerants();
  auto number = static_cast<unsigned>(value);
  return number < enumerants.size() ? enumerants[number].getProto().getName() : "unknown"_kj;
}

}  // namespace bulkhead
