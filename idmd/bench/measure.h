// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async.h>

#include "schemas/agent.capnp.h"

namespace bulkhead::bench {

// Talks to an echo agent and prints one line of JSON: echo latency (microseconds, median and 99th
// percentile) and the rate of a stream each way (MB/s). `sink` takes what the agent sends.
void measure(kj::WaitScope& waitScope, schema::ZoneAgent::Client agent,
             schema::ByteStream::Client sink, kj::StringPtr name);

// A sink in this process.
schema::ByteStream::Client makeSink();

}  // namespace bulkhead::bench
