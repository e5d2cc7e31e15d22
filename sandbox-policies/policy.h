// SPDX-License-Identifier: Apache-2.0
// A whole policy: a file with its includes, checked so that every line says something.
#pragma once

#include "sandbox-policies/policy-file.h"

#include <kj/function.h>

namespace bulkhead::policy {

struct Policy {
  // Includes first, in the order in which they are named.
  kj::Vector<Rule> rules;

  // Every file read, the policy itself first.
  kj::Vector<kj::String> files;
};

// Gives the text of a policy file by its name; null where there is none.
using FileSource = kj::Function<kj::Maybe<kj::String>(kj::StringPtr)>;

// Reads `name` and what it includes, and checks the rules against each other:
//
// - a file may be reached once only;
// - a system call with an unconditional rule has no other rule (the other would never be reached,
//   or would be the same again);
// - no clause repeats another or lies within it;
// - no call can match both a rule that allows and one that answers an errno, or two errnos.
//
// The result is usable only if there are no complaints.
Policy readPolicy(kj::StringPtr name, FileSource& source, Complaints& complaints);

}  // namespace bulkhead::policy
