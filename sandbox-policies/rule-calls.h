// SPDX-License-Identifier: Apache-2.0
// For tests: what a policy's rule table says about a call, and calls made from it that are just
// allowed or just not.
#pragma once

#include <array>
#include <cstdint>

#include <kj/vector.h>

#include "sandbox-policies/seccomp-policy.h"

namespace bulkhead {

using Arguments = std::array<uint64_t, 6>;

// The SECCOMP_RET_* action with its data that the rule table asks for. It is worked out from the
// table alone, never from the program, so that tests can hold one against the other.
uint32_t expectedAction(const SeccompPolicy& policy, int number, const Arguments& arguments);

// `base` with the bits that the clause compares set as it wants them.
Arguments satisfying(const PolicyClause& clause, Arguments base);

// `base` as satisfying() makes it, with one bit changed that one condition of the clause compares:
// every such bit in turn.
kj::Vector<Arguments> perturbations(const PolicyClause& clause, Arguments base);

}  // namespace bulkhead
