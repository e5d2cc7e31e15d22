// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/array.h>
#include <kj/string.h>
#include <sys/types.h>

namespace bulkhead::zone {

// Whom a process runs as.
struct UserIdentity {
  uid_t user = 0;
  gid_t group = 0;
  kj::Array<gid_t> groups;  // supplementary
  kj::String home;          // as the image's passwd says, "/" where it says nothing
};

// Most bytes of a passwd or group file that are read.
constexpr size_t kUserFileLimit = 1 << 20;

// Resolves "user", "uid", "user:group", "uid:gid" and any mix against the texts of an image's
// /etc/passwd and /etc/group (passwd(5), group(5)), either of which may be absent. A part that is
// all digits is a number and is never looked up as a name; one above 2^31-1 is refused. The first
// entry of a name counts; lines that are not well formed are passed over. Empty means 0:0.
//
// Fails with `invalid` for a name that is not there, or for text that is no user.
UserIdentity resolveUser(kj::StringPtr user, kj::Maybe<kj::StringPtr> passwd,
                         kj::Maybe<kj::StringPtr> group);

// Adds supplementary groups, names or numbers, each once. Fails with `invalid` as above.
void addGroups(UserIdentity& identity, kj::ArrayPtr<const kj::String> groups,
               kj::Maybe<kj::StringPtr> group);

}  // namespace bulkhead::zone
