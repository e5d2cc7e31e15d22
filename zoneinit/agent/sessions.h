// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <capnp/capability.h>
#include <kj/timer.h>

#include "services/runtime/limits.h"
#include "services/runtime/log.h"
#include "zoneinit/agent/transport.h"

namespace bulkhead::zone {

// Serves `bootstrap` to one session after another, for ever. A session's end, whatever its reason,
// is followed by a fresh offer.
kj::Promise<void> serveSessions(Transport& transport, kj::Timer& timer, ConnectionLimits limits,
                                capnp::Capability::Client bootstrap, Log& log);

}  // namespace bulkhead::zone
