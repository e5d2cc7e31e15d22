// SPDX-License-Identifier: Apache-2.0
// What the policy compiler leaves in a program: the filter itself, and the rules it came from.
#pragma once

#include <linux/filter.h>

#include <kj/common.h>

#include <cstdint>

namespace bulkhead {

// One comparison: holds when (argument & mask) == value.
struct PolicyCondition {
  // Which of the six arguments, from 0.
  unsigned argument;

  // Bits compared. For an argument that the kernel reads as 32 bits, never more than 32.
  uint64_t mask;

  // What the compared bits must be; no bit outside `mask`.
  uint64_t value;
};

// A conjunction: all conditions must hold. Each argument occurs at most once.
struct PolicyClause {
  kj::ArrayPtr<const PolicyCondition> conditions;
};

// One line of a policy file.
struct PolicyRule {
  // The x86-64 system call number and its name.
  int number;
  const char* syscall;

  // Where the line stands: a file of this folder, and the line from 1.
  const char* file;
  unsigned line;

  // 0: the call is allowed. Otherwise it is not made and fails with this errno.
  uint16_t error;

  // The rule applies where any clause holds; with no clause it applies to every call.
  kj::ArrayPtr<const PolicyClause> clauses;
};

// A compiled policy. Whatever no rule names ends the process; there is no other default.
struct SeccompPolicy {
  // The process: "hvd", "imaged-fetch".
  const char* name;

  // The filter, as the kernel takes it.
  kj::ArrayPtr<const sock_filter> program;

  // Every rule the filter was made from, includes first. Tests hold the two against each other.
  kj::ArrayPtr<const PolicyRule> rules;
};

}  // namespace bulkhead
