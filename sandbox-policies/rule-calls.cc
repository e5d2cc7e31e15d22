// SPDX-License-Identifier: Apache-2.0
#include "sandbox-policies/rule-calls.h"

#include <linux/seccomp.h>

namespace bulkhead {
namespace {

bool holds(const PolicyClause& clause, const Arguments& arguments) {
  for (const auto& condition : clause.conditions) {
    if ((arguments[condition.argument] & condition.mask) != condition.value) return false;
  }
  return true;
}

bool applies(const PolicyRule& rule, const Arguments& arguments) {
  if (rule.clauses.size() == 0) return true;
  for (const auto& clause : rule.clauses) {
    if (holds(clause, arguments)) return true;
  }
  return false;
}

}  // namespace

uint32_t expectedAction(const SeccompPolicy& policy, int number, const Arguments& arguments) {
  for (const auto& rule : policy.rules) {
    if (rule.number != number || !applies(rule, arguments)) continue;
    return rule.error == 0 ? SECCOMP_RET_ALLOW : SECCOMP_RET_ERRNO | rule.error;
  }
  return SECCOMP_RET_KILL_PROCESS;
}

Arguments satisfying(const PolicyClause& clause, Arguments base) {
  for (const auto& condition : clause.conditions) {
    auto& argument = base[condition.argument];
    argument = (argument & ~condition.mask) | condition.value;
  }
  return base;
}

kj::Vector<Arguments> perturbations(const PolicyClause& clause, Arguments base) {
  kj::Vector<Arguments> result;
  auto allowed = satisfying(clause, base);
  for (const auto& condition : clause.conditions) {
    for (unsigned bit = 0; bit < 64; ++bit) {
      if (((condition.mask >> bit) & 1) == 0) continue;
      auto changed = allowed;
      changed[condition.argument] ^= uint64_t{1} << bit;
      result.add(changed);
    }
  }
  return result;
}

}  // namespace bulkhead
