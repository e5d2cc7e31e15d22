// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/map.h>
#include <kj/string.h>
#include <sys/types.h>

#include "services/runtime/server.h"

namespace bulkhead {

// How far a local user's authority reaches.
enum class Role {
  none,           // `session` is denied
  user,           // its own zones
  administrator,  // everybody's zones
};

// Resolves names of /etc/passwd and /etc/group; tests bring their own.
struct NameService {
  kj::Function<kj::Maybe<uid_t>(kj::StringPtr)> user;
  kj::Function<kj::Maybe<gid_t>(kj::StringPtr)> group;

  static NameService ofHost();
};

// /etc/bulkhead/access.toml: who may use this host.
//
//     groups = ["bulkhead"]            # their members have a session with zones of their own
//     users = []                       # so have these
//     administrators = []              # users who see everybody's zones; root always does
//     administrator-groups = []
//
// These are also the defaults; a key that is present replaces its own. Users and groups are names
// or numbers. A name that does not exist admits nobody. Names are resolved when the policy is read;
// a peer's groups are those the kernel reports for its connection.
class AccessPolicy {
 public:
  static AccessPolicy load(kj::StringPtr path, NameService& names);
  static AccessPolicy parse(kj::StringPtr text, kj::StringPtr path, NameService& names);

  Role roleOf(const PeerIdentity& peer) const;

 private:
  struct Members {
    kj::HashSet<uid_t> users;
    kj::HashSet<gid_t> groups;

    bool include(const PeerIdentity& peer) const;
  };

  Members administrators;
  Members users;
};

}  // namespace bulkhead
