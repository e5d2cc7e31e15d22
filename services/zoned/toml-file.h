// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/string.h>

#define TOML_EXCEPTIONS 1
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Weverything"
#include <toml++/toml.hpp>
#pragma clang diagnostic pop

namespace bulkhead {

// The text of a configuration file; null when there is none.
kj::Maybe<kj::String> readConfigFile(kj::StringPtr path);

// Parses TOML. Fails with `invalid`, naming the file and the line.
toml::table parseToml(kj::StringPtr text, kj::StringPtr path);

}  // namespace bulkhead
