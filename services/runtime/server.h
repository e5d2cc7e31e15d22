// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <capnp/capability.h>
#include <kj/async-io.h>
#include <kj/function.h>
#include <sys/types.h>

#include <vector>

#include "services/runtime/connection.h"
#include "services/runtime/limits.h"
#include "services/runtime/log.h"

namespace bulkhead {

// Who is at the other end, as the kernel says (SO_PEERCRED).
struct PeerIdentity {
  uid_t user;
  gid_t group;  // -1 where the socket admits one user only
  pid_t process;
  std::vector<gid_t> groups = {};  // all of them (SO_PEERGROUPS); only where anyone is admitted
};

// Whom a socket admits.
class PeerPolicy {
 public:
  // Anyone who can open the socket: the public edge.
  static PeerPolicy anyone() { return PeerPolicy(nullptr); }

  // One user only, by number.
  static PeerPolicy only(uid_t user) { return PeerPolicy(user); }

  // The user an edge's table entry names. Resolved now, before the sandbox closes the user
  // database. With BULKHEAD_RUN set (tests) it is the user the process itself runs as.
  static PeerPolicy of(Edge edge);

  bool admits(const PeerIdentity& peer) const;
  bool admitsAnyone() const { return user == nullptr; }

 private:
  explicit PeerPolicy(kj::Maybe<uid_t> user) : user(user) {}
  kj::Maybe<uid_t> user;
};

// What a connection gets: called once for each, after its peer was admitted.
using Bootstrap = kj::Function<capnp::Capability::Client(const PeerIdentity&)>;

// Serves a listening Unix socket for ever. Connections beyond the limits, and peers the policy does
// not admit, are closed at once and logged; one connection's failure never ends the others.
kj::Promise<void> serve(kj::LowLevelAsyncIoProvider& provider, kj::Timer& timer,
                        kj::AutoCloseFd listener, PeerPolicy policy, ConnectionLimits limits,
                        Log& log, Bootstrap bootstrap);

// Serves the one connection a worker was started with; returns when the peer is gone.
kj::Promise<void> serveOne(kj::LowLevelAsyncIoProvider& provider, kj::AutoCloseFd connection,
                           ConnectionLimits limits, capnp::Capability::Client bootstrap);

}  // namespace bulkhead
