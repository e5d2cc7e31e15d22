// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "imaged/store/config-table.h"
#include "imaged/store/config.h"

namespace bulkhead {

// The sections of imaged.toml. All fail as ConfigTable does, the files they name included.

ProxyConfig readProxy(ConfigTable& table);

// [registry."HOST"]
RegistryConfig readRegistry(ConfigTable& table);

// [signature."SCOPE"], or [signature] for all others.
SignatureConfig readSignature(ConfigTable& table);

// "registry.example:5000", as references write it; or with a path behind it.
bool isRegistryName(kj::StringPtr text);
bool isRepositoryScope(kj::StringPtr text);

}  // namespace bulkhead
