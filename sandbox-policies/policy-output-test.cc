// SPDX-License-Identifier: Apache-2.0
// libseccomp's program does what the rules say, for policies nobody would write by hand.
#include <linux/audit.h>
#include <linux/seccomp.h>

#include <random>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sandbox-policies/bpf-evaluator.h"
#include "sandbox-policies/policy-output.h"

namespace bulkhead::policy {
namespace {

Policy compile(kj::StringPtr text) {
  FileSource source = [&](kj::StringPtr) -> kj::Maybe<kj::String> { return kj::str(text); };
  Complaints complaints;
  auto policy = readPolicy("main.policy", source, complaints);
  EXPECT_TRUE(complaints.empty());
  return policy;
}

seccomp_data makeCall(int number, kj::ArrayPtr<const uint64_t> arguments) {
  seccomp_data call{};
  call.nr = number;
  call.arch = AUDIT_ARCH_X86_64;
  for (size_t i = 0; i < arguments.size(); ++i) call.args[i] = arguments[i];
  return call;
}

TEST(PolicyOutput, KillsByDefaultAndTrapsOnlyOnRequest) {
  auto policy = compile("read: allow  # r\n");
  auto call = makeCall(1, nullptr);
  EXPECT_EQ(evaluateFilter(buildProgram(policy, DefaultAction::killProcess), call),
            SECCOMP_RET_KILL_PROCESS);
  EXPECT_EQ(evaluateFilter(buildProgram(policy, DefaultAction::trap), call), SECCOMP_RET_TRAP);
}

TEST(PolicyOutput, OtherArchitecturesDieEvenWhereTheRestTraps) {
  auto program = buildProgram(compile("read: allow  # r\n"), DefaultAction::trap);
  auto call = makeCall(0, nullptr);
  call.arch = AUDIT_ARCH_I386;
  EXPECT_EQ(evaluateFilter(program, call), SECCOMP_RET_KILL_PROCESS);
}

// A random set of clauses on one call, without those that another one covers.
Policy randomPolicy(std::mt19937& random) {
  constexpr int number = 9;  // mmap: six arguments of 64 bits
  auto pick = [&](uint32_t below) { return static_cast<uint32_t>(random() % below); };
  kj::Vector<Clause> clauses;
  uint32_t count = 1 + pick(5);
  for (uint32_t i = 0; i < count; ++i) {
    kj::Vector<Condition> conditions;
    for (unsigned argument = 0; argument < 3; ++argument) {
      if (pick(3) == 0) continue;
      static constexpr uint64_t masks[] = {
          1, 3, 6, 7, 0xffffffff, ~uint64_t{0}, ~uint64_t{3}, uint64_t{1} << 40};
      auto mask = masks[pick(8)];
      conditions.add(Condition{argument, mask, pick(8) & mask});
    }
    if (conditions.size() > 0) clauses.add(conditions.releaseAsArray());
  }
  Policy policy;
  if (clauses.size() > 0) {
    policy.rules.add(
        Rule{kj::str("random"), 1, kj::str("mmap"), number, 0, clauses.releaseAsArray()});
  }
  return policy;
}

bool matches(const Policy& policy, const seccomp_data& call) {
  for (const auto& rule : policy.rules) {
    for (const auto& clause : rule.clauses) {
      bool all = true;
      for (const auto& c : clause) all = all && (call.args[c.argument] & c.mask) == c.value;
      if (all) return true;
    }
  }
  return false;
}

TEST(PolicyOutput, ProgramMatchesTheClausesOfRandomPolicies) {
  std::mt19937 random(4711);
  for (int round = 0; round < 400; ++round) {
    auto policy = randomPolicy(random);
    auto program = buildProgram(policy, DefaultAction::killProcess);
    for (int attempt = 0; attempt < 200; ++attempt) {
      uint64_t arguments[3];
      for (auto& argument : arguments) {
        argument = random() % 8;
        if (random() % 4 == 0) argument |= uint64_t{1} << (32 + random() % 16);
      }
      auto call = makeCall(9, arguments);
      auto expected = matches(policy, call) ? SECCOMP_RET_ALLOW : SECCOMP_RET_KILL_PROCESS;
      ASSERT_EQ(evaluateFilter(program, call), expected)
          << "round " << round << " arguments " << arguments[0] << ' ' << arguments[1] << ' '
          << arguments[2];
    }
  }
}

TEST(PolicyOutput, NamesAreIdentifiers) {
  EXPECT_STREQ(identifierFor("imaged-fetch").cStr(), "imaged_fetch_policy");
  EXPECT_STREQ(identifierFor("hvd").cStr(), "hvd_policy");
}

TEST(PolicyOutput, SourceHoldsEveryRuleWithItsPlace) {
  auto policy = compile("clone3: errno ENOSYS  # r\nsocket: arg0 == AF_UNIX  # r\n");
  auto text = sourceText("main", policy, buildProgram(policy, DefaultAction::killProcess));
  EXPECT_THAT(std::string(text.cStr()),
              testing::HasSubstr("{435, \"clone3\", \"main.policy\", 1, 38, nullptr}"));
  EXPECT_THAT(std::string(text.cStr()),
              testing::HasSubstr("{41, \"socket\", \"main.policy\", 2, 0, rule1Clauses}"));
  EXPECT_THAT(std::string(text.cStr()),
              testing::HasSubstr("rule1Clause0[] = {{0, 0xffffffff, 0x1}}"));
  EXPECT_THAT(
      std::string(text.cStr()),
      testing::HasSubstr("constinit const SeccompPolicy main_policy{\"main\", program, rules}"));
}

}  // namespace
}  // namespace bulkhead::policy
