// SPDX-License-Identifier: Apache-2.0
// Every compiled policy, run in the evaluator: the program does what the table of rules says, and
// nothing else is allowed.
#include <linux/audit.h>
#include <linux/seccomp.h>

#include <random>
#include <string>

#include <kj/string.h>

#include <gtest/gtest.h>

#include "sandbox-policies/all-policies.h"
#include "sandbox-policies/bpf-evaluator.h"
#include "sandbox-policies/forbidden-calls.h"
#include "sandbox-policies/harmless-calls.h"

namespace bulkhead {
namespace {

constexpr int highestNumber = 600;  // above every system call of any kernel we know

std::string nameOf(const SeccompPolicy& policy) {
  std::string name = policy.name;
  for (char& c : name) {
    if (c == '-') c = '_';
  }
  return name;
}

std::string place(const PolicyRule& rule) {
  return std::string(rule.file) + ":" + std::to_string(rule.line) + " (" + rule.syscall + ")";
}

// In builds whose policies trap, an unknown call is a trap.
uint32_t normalize(uint32_t action) {
  return action == SECCOMP_RET_TRAP ? SECCOMP_RET_KILL_PROCESS : action;
}

class PolicyTable : public testing::TestWithParam<const SeccompPolicy*> {
 protected:
  const SeccompPolicy& policy = *GetParam();

  uint32_t actual(int number, const Arguments& arguments, uint32_t arch = AUDIT_ARCH_X86_64) {
    seccomp_data call{};
    call.nr = number;
    call.arch = arch;
    std::copy(arguments.begin(), arguments.end(), call.args);
    return normalize(evaluateFilter(policy.program, call));
  }

  // The program's answer to a call is the table's.
  uint32_t checked(int number, const Arguments& arguments) {
    auto expected = expectedAction(policy, number, arguments);
    EXPECT_EQ(actual(number, arguments), expected)
        << "call " << number << " (" << std::hex << arguments[0] << ", " << arguments[1] << ", "
        << arguments[2] << ", " << arguments[3] << ", " << arguments[4] << ", " << arguments[5]
        << ")";
    return expected;
  }

  bool hasOwnRule(int number) {
    auto own = kj::str(policy.name, ".policy");
    for (const auto& rule : policy.rules) {
      if (rule.number == number && own == rule.file) return true;
    }
    return false;
  }
};

TEST_P(PolicyTable, EachRuleActsAndEachOfItsConditionsMatters) {
  for (const auto& rule : policy.rules) {
    SCOPED_TRACE(place(rule));
    auto verdict = rule.error == 0 ? SECCOMP_RET_ALLOW : SECCOMP_RET_ERRNO | rule.error;
    if (rule.clauses.size() == 0) EXPECT_EQ(checked(rule.number, {}), verdict);
    for (const auto& clause : rule.clauses) {
      EXPECT_EQ(checked(rule.number, satisfying(clause, {})), verdict);
      for (const auto& condition : clause.conditions) {
        PolicyClause alone{kj::arrayPtr(&condition, 1)};
        unsigned changed = 0;
        // What the clause does not compare is once 0 and once all ones, lest another rule for the
        // same call always steps in.
        for (uint64_t rest : {uint64_t{0}, ~uint64_t{0}}) {
          Arguments base;
          base.fill(rest);
          for (const auto& arguments : perturbations(alone, satisfying(clause, base))) {
            if (checked(rule.number, arguments) != verdict) ++changed;
          }
        }
        EXPECT_GT(changed, 0u) << "no change of argument " << condition.argument << " is noticed";
      }
    }
  }
}

TEST_P(PolicyTable, ProgramAndTableAgreeOnRandomCalls) {
  std::mt19937_64 random(20240917);
  for (const auto& rule : policy.rules) {
    SCOPED_TRACE(place(rule));
    for (int round = 0; round < 300; ++round) {
      Arguments arguments;
      for (auto& argument : arguments) {
        argument = random() & (random() | (round % 3 == 0 ? ~uint64_t{0} : 0)) & 0xffffff;
        if (round % 7 == 0) argument |= random() << 32;
      }
      checked(rule.number, arguments);
      for (const auto& clause : rule.clauses) checked(rule.number, satisfying(clause, arguments));
    }
  }
}

TEST_P(PolicyTable, CallsWithoutARuleEndTheProcess) {
  for (int number = -1; number <= highestNumber; ++number) {
    bool named = false;
    for (const auto& rule : policy.rules) named = named || rule.number == number;
    if (!named) EXPECT_EQ(actual(number, {}), SECCOMP_RET_KILL_PROCESS) << number;
  }
}

TEST_P(PolicyTable, OtherArchitecturesEndTheProcess) {
  constexpr int x32Bit = 0x40000000;
  for (int number = 0; number <= highestNumber; ++number) {
    EXPECT_EQ(actual(number, {}, AUDIT_ARCH_I386), SECCOMP_RET_KILL_PROCESS) << number;
    EXPECT_EQ(actual(number, {}, AUDIT_ARCH_AARCH64), SECCOMP_RET_KILL_PROCESS) << number;
    EXPECT_EQ(actual(number | x32Bit, {}), SECCOMP_RET_KILL_PROCESS) << number;
  }
}

TEST_P(PolicyTable, UpperHalvesOfIntArgumentsDoNotMatter) {
  for (const auto& rule : policy.rules) {
    SCOPED_TRACE(place(rule));
    for (const auto& clause : rule.clauses) {
      auto arguments = satisfying(clause, {});
      for (const auto& condition : clause.conditions) {
        if (condition.mask >> 32 == 0) arguments[condition.argument] |= 0xdeadbeefULL << 32;
      }
      EXPECT_NE(checked(rule.number, arguments), SECCOMP_RET_KILL_PROCESS);
    }
  }
}

TEST_P(PolicyTable, ForbiddenCallsEndTheProcess) {
  for (const auto& call : forbiddenCalls) {
    if (hasOwnRule(call.number) &&
        expectedAction(policy, call.number, call.arguments) == SECCOMP_RET_ALLOW) {
      continue;  // its file has a line for it, and with the line a reason
    }
    EXPECT_EQ(actual(call.number, call.arguments), SECCOMP_RET_KILL_PROCESS) << call.name;
  }
}

TEST_P(PolicyTable, EachRuleHasAHarmlessCall) {
  for (const auto& rule : policy.rules) {
    EXPECT_TRUE(harmlessCall(rule.syscall) != nullptr)
        << "add '" << rule.syscall << "' to harmless-calls.cc, for " << place(rule);
  }
}

INSTANTIATE_TEST_SUITE_P(All, PolicyTable, testing::ValuesIn(allPolicies),
                         [](const auto& info) { return nameOf(*info.param); });

}  // namespace
}  // namespace bulkhead
