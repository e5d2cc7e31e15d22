// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/array.h>
#include <kj/string.h>

namespace bulkhead {

// Every edge of the process graph. Units, sockets and tests follow from this table, and a test
// holds the shipped units against it.
enum class Edge {
  platform,    // clients to zoned
  hypervisor,  // zoned to hvd
  images,      // zoned to imaged
  network,     // zoned to netd
  rings,       // zoned to idmd
  fetch,       // imaged to a fetch worker, one process a connection
  unpack,      // imaged to an unpack worker, one process a connection
  link,        // idmd to a link process, one a zone
  netAgent,    // netd to the network agent
};

struct EdgeInfo {
  Edge edge;
  kj::StringPtr name;    // of the socket unit and of the passed descriptor
  kj::StringPtr path;    // of the socket
  kj::StringPtr server;  // the process that serves it
  kj::StringPtr peer;    // the one user that may connect; empty: anyone on the host
};

// In the order of the enumeration.
kj::ArrayPtr<const EdgeInfo> edges();

const EdgeInfo& info(Edge edge);

// The edge's socket path. Tests place all sockets of one run in a directory of their own through
// the environment variable BULKHEAD_RUN, which replaces /run/bulkhead; systemd units never set it.
kj::String socketPath(Edge edge);

}  // namespace bulkhead
