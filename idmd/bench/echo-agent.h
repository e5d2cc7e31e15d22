// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "schemas/agent.capnp.h"

namespace bulkhead::bench {

// Bytes of one stream that is measured, each way.
constexpr uint64_t kStreamBytes = 64u << 20;
constexpr size_t kChunkBytes = 60u << 10;  // with its message a little less than the ring holds

// An agent that does nothing but answer: `info` is the echo, `watchKernelEvents` sends
// `kStreamBytes`, and the standard input of its one process takes anything.
schema::ZoneAgent::Client makeEchoAgent();

}  // namespace bulkhead::bench
