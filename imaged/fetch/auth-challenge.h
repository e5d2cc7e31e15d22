// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/map.h>
#include <kj/string.h>
#include <kj/vector.h>

namespace bulkhead {

// One challenge of a WWW-Authenticate header (RFC 9110, 11.6.1).
struct AuthChallenge {
  kj::String scheme;                               // lower case: "bearer", "basic"
  kj::HashMap<kj::String, kj::String> parameters;  // keys in lower case

  kj::StringPtr parameter(kj::StringPtr name) const;
};

// All challenges of one header value, in order; none where the text is not well formed. At most
// 16 challenges with 16 parameters each.
kj::Maybe<kj::Vector<AuthChallenge>> parseChallenges(kj::StringPtr header);

}  // namespace bulkhead
