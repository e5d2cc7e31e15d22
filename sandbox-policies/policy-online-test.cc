// SPDX-License-Identifier: Apache-2.0
// Every rule of every policy in the running kernel: a process loads the filter and makes the call.
// Allowed, it lives on; with any argument that the rule compares changed, it dies by SIGSYS.
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include <kj/debug.h>

#include <gtest/gtest.h>

#include "sandbox-policies/all-policies.h"
#include "sandbox-policies/forbidden-calls.h"
#include "sandbox-policies/harmless-calls.h"

namespace bulkhead {
namespace {

std::string nameOf(const SeccompPolicy& policy) {
  std::string name = policy.name;
  for (char& c : name) {
    if (c == '-') c = '_';
  }
  return name;
}

std::string place(const PolicyRule& rule, const Arguments& arguments) {
  std::string text = std::string(rule.file) + ":" + std::to_string(rule.line) + " " + rule.syscall;
  for (auto argument : arguments) text += " " + std::to_string(argument);
  return text;
}

constexpr int setUpFailed = 99;
constexpr int wrongErrno = 98;

long make(int number, const Arguments& a) {
  return syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

// The child's part. Between the filter and the end there is the call and nothing else.
[[noreturn]] void callUnder(const SeccompPolicy& policy, int number, const Arguments& arguments,
                            int expectedErrno) {
  rlimit noCore{0, 0};
  if (setrlimit(RLIMIT_CORE, &noCore) != 0) _exit(setUpFailed);
  // A sanitizer's handler would make calls of its own.
  signal(SIGSEGV, SIG_DFL);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) _exit(setUpFailed);
  sock_fprog program{static_cast<uint16_t>(policy.program.size()),
                     const_cast<sock_filter*>(policy.program.begin())};
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) _exit(setUpFailed);
  long result = make(number, arguments);
  bool right = expectedErrno == 0 || (result == -1 && errno == expectedErrno);
  syscall(SYS_exit_group, right ? 0 : wrongErrno);
  __builtin_trap();
}

// Returns the wait status of a process that makes the call under the policy.
int statusOf(const SeccompPolicy& policy, int number, const Arguments& arguments,
             int expectedErrno = 0) {
  pid_t child;
  KJ_SYSCALL(child = fork());
  if (child == 0) callUnder(policy, number, arguments, expectedErrno);
  int status;
  KJ_SYSCALL(waitpid(child, &status, 0));
  return status;
}

bool diedBy(int status, int signal) { return WIFSIGNALED(status) && WTERMSIG(status) == signal; }

class PolicyOnline : public testing::TestWithParam<const SeccompPolicy*> {
 protected:
  const SeccompPolicy& policy = *GetParam();

  void expectPasses(const PolicyRule& rule, const HarmlessCall& call, const Arguments& arguments) {
    auto status = statusOf(policy, rule.number, arguments, rule.error);
    if (rule.error == 0 && call.aftermath == Aftermath::faults) {
      EXPECT_TRUE(diedBy(status, SIGSEGV)) << place(rule, arguments) << ": status " << status;
    } else {
      EXPECT_EQ(status, 0) << place(rule, arguments);
    }
  }

  void expectKilled(const PolicyRule& rule, const Arguments& arguments) {
    auto status = statusOf(policy, rule.number, arguments);
    EXPECT_TRUE(diedBy(status, SIGSYS)) << place(rule, arguments) << ": status " << status;
  }
};

TEST_P(PolicyOnline, AllowedCallsPass) {
  for (const auto& rule : policy.rules) {
#ifdef BULKHEAD_SANITIZED
    // ThreadSanitizer has a thread of its own in every process, which would outlive this one.
    if (rule.number == SYS_exit) continue;
#endif
    auto call = KJ_REQUIRE_NONNULL(harmlessCall(rule.syscall), "no harmless call", rule.syscall);
    if (rule.clauses.size() == 0) expectPasses(rule, call, call.arguments);
    for (const auto& clause : rule.clauses) {
      expectPasses(rule, call, satisfying(clause, call.arguments));
    }
  }
}

TEST_P(PolicyOnline, PerturbedCallsEndTheProcess) {
  for (const auto& rule : policy.rules) {
    auto call = KJ_REQUIRE_NONNULL(harmlessCall(rule.syscall), "no harmless call", rule.syscall);
    for (const auto& clause : rule.clauses) {
      for (const auto& condition : clause.conditions) {
        // One killing change of each argument is enough here; the evaluator tries all of them.
        PolicyClause alone{kj::arrayPtr(&condition, 1)};
        unsigned killed = 0;
        for (const auto& changed : perturbations(alone, satisfying(clause, call.arguments))) {
          if (expectedAction(policy, rule.number, changed) != SECCOMP_RET_KILL_PROCESS) continue;
          expectKilled(rule, changed);
          ++killed;
          break;
        }
        EXPECT_EQ(killed, 1u) << "no change of argument " << condition.argument
                              << " kills: " << place(rule, call.arguments);
      }
    }
  }
}

TEST_P(PolicyOnline, ForbiddenCallsEndTheProcess) {
  for (const auto& call : forbiddenCalls) {
    if (expectedAction(policy, call.number, call.arguments) != SECCOMP_RET_KILL_PROCESS) continue;
    EXPECT_TRUE(diedBy(statusOf(policy, call.number, call.arguments), SIGSYS)) << call.name;
  }
}

INSTANTIATE_TEST_SUITE_P(All, PolicyOnline, testing::ValuesIn(allPolicies),
                         [](const auto& info) { return nameOf(*info.param); });

}  // namespace
}  // namespace bulkhead
