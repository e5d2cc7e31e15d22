// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <capnp/message.h>

#include <cstddef>
#include <cstdint>

namespace bulkhead {

// What one connection may cost the process that serves it.
struct ConnectionLimits {
  // Descriptors accepted with one message; 0 from peers that have no business sending any.
  unsigned fdsPerMessage = 4;

  // Bytes of one message that a reader may traverse, pointer amplification included.
  uint64_t messageBytes = 8u << 20;

  // Depth of nested pointers.
  int nesting = 24;

  // Bytes of calls in flight before the peer is no longer read from (RpcSystem::setFlowLimit).
  size_t inFlightBytes = 1u << 20;

  // Connections served at once, and how many of them one user may hold.
  unsigned connections = 64;
  unsigned connectionsPerUser = 16;

  capnp::ReaderOptions readerOptions() const {
    capnp::ReaderOptions options;
    options.traversalLimitInWords = messageBytes / sizeof(capnp::word);
    options.nestingLimit = nesting;
    return options;
  }
};

}  // namespace bulkhead
