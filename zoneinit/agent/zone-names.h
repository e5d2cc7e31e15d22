// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "schemas/agent.capnp.h"
#include "zoneinit/runtime/container-root.h"

namespace bulkhead::zone {

// The text of a container's /etc/resolv.conf and /etc/hosts, from a configuration whose every name
// and address is checked, so that none can smuggle in a line of its own. Fails with `invalid`.
NameFiles makeNameFiles(schema::ZoneConfig::Reader config);

// Before any configuration: the loopback names.
NameFiles defaultNameFiles(kj::StringPtr hostname);

}  // namespace bulkhead::zone
