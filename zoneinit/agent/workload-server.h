// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/function.h>

#include "schemas/agent.capnp.h"
#include "zoneinit/runtime/container.h"

namespace bulkhead::zone {

// schemas/agent.capnp, Workload. `onDestroyed` is called once its container has left nothing.
schema::Workload::Client makeWorkloadServer(kj::Own<Container> container,
                                            kj::Function<void(kj::StringPtr id)> onDestroyed);

}  // namespace bulkhead::zone
