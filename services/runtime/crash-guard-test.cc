// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/crash-guard.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>

#include <kj/debug.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/runtime/child-process.h"

namespace bulkhead {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

ChildOutcome runVictim(const char* program, const char* violation) {
  return runInChild([&] {
    // Every allocation on a page of its own, not one in thousands. The bare victim reads none of
    // it.
    const char* every =
        "SCUDO_OPTIONS=GWP_ASAN_SampleRate=1:GWP_ASAN_MaxSimultaneousAllocations=512";
    bool sampled = strcmp(violation, "use-after-free") == 0;
    const char* environment[] = {sampled ? every : nullptr, nullptr};
    KJ_SYSCALL(execle(program, program, violation, nullptr, environment));
  });
}

struct Violation {
  const char* name;
  int signal;
  const char* reason;  // a regular expression within the quotes

  // What becomes of the same violation without any of the measures.
  enum class Unguarded { survives, diesSilently } unguarded;
};

void PrintTo(const Violation& violation, std::ostream* out) { *out << violation.name; }

class CrashGuardViolation : public testing::TestWithParam<Violation> {};

TEST_P(CrashGuardViolation, EndsBySignalWithOneLine) {
  const auto& violation = GetParam();
  auto outcome = runVictim(GUARDED_VICTIM, violation.name);
  EXPECT_TRUE(outcome.diedBy(violation.signal)) << outcome.status;
  auto line = std::string("bulkhead-crash service=victim signal=SIG") +
              sigabbrev_np(violation.signal) + " reason=\"" + violation.reason +
              "\" address=0x[0-9a-f]+ build=[0-9a-f]+\n$";
  EXPECT_THAT(outcome.errors, ContainsRegex(line));
  auto first = outcome.errors.find("bulkhead-crash");
  EXPECT_EQ(outcome.errors.find("bulkhead-crash", first + 1), std::string::npos) << "said once";
}

TEST_P(CrashGuardViolation, WouldPassOrStaySilentWithoutTheMeasures) {
  const auto& violation = GetParam();
  auto outcome = runVictim(BARE_VICTIM, violation.name);
  EXPECT_THAT(outcome.errors, Not(HasSubstr("bulkhead-crash")));
  auto survived = outcome.exitedWith(0);
  EXPECT_EQ(survived, violation.unguarded == Violation::Unguarded::survives) << outcome.status;
}

constexpr auto survives = Violation::Unguarded::survives;
constexpr auto diesSilently = Violation::Unguarded::diesSilently;
constexpr auto checkFailed = "abort: a check failed, see the line before";

const Violation violations[] = {
    // The measures of the build: FORTIFY, the stack protector, the library's assertions.
    {"heap-overflow", SIGABRT, checkFailed, survives},
    {"stack-smash", SIGABRT, checkFailed, diesSilently},
    // The allocator's.
    {"double-free", SIGABRT, checkFailed, diesSilently},
    {"mismatched-delete", SIGABRT, checkFailed, survives},
    {"header-overwritten", SIGABRT, checkFailed, diesSilently},
    {"use-after-free", SIGSEGV, "access not permitted", diesSilently},
    {"span", SIGABRT, checkFailed, survives},
    {"vector", SIGABRT, checkFailed, survives},
    {"optional", SIGABRT, checkFailed, survives},
    // The guard's own.
    {"stack-overflow", SIGSEGV, "stack overflow", diesSilently},
    {"thread-stack-overflow", SIGSEGV, "stack overflow", diesSilently},
    {"abort", SIGABRT, checkFailed, diesSilently},
    {"kj-exception", SIGABRT,
     "uncaught kj::Exception at .*crash-guard-victim.cc:[0-9]+: .*the \\?reason\\?.of a kj "
     "exception.*",
     diesSilently},
    {"thread-exception", SIGABRT, "uncaught kj::Exception at .*said in a thread", diesSilently},
    {"std-exception", SIGABRT, "uncaught .*runtime_error: the reason of a std exception",
     diesSilently},
    {"other-exception", SIGABRT, "uncaught i", diesSilently},
    {"terminate", SIGABRT, "std::terminate without an exception", diesSilently},
    {"null", SIGSEGV, "address not mapped", diesSilently},
    {"not-canonical", SIGSEGV, "address not canonical", diesSilently},
    {"read-only", SIGSEGV, "access not permitted", diesSilently},
    {"gone-memory", SIGBUS, "memory behind the address is gone", diesSilently},
    {"trap", SIGILL, "trap or illegal instruction", diesSilently},
    {"division", SIGFPE, "arithmetic error", diesSilently},
    {"sent", SIGSEGV, "sent by a process", diesSilently},
};

INSTANTIATE_TEST_SUITE_P(All, CrashGuardViolation, testing::ValuesIn(violations),
                         [](const auto& info) {
                           std::string name = info.param.name;
                           for (char& c : name) {
                             if (c == '-') c = '_';
                           }
                           return name;
                         });

TEST(Allocator, KeepsAFreedBlockFromItsNextTaker) {
  EXPECT_TRUE(runVictim(GUARDED_VICTIM, "reuse").exitedWith(0));
  EXPECT_TRUE(runVictim(BARE_VICTIM, "reuse").exitedWith(1));
}

TEST(Allocator, ShowsNobodyWhatABlockHeldBefore) {
  EXPECT_TRUE(runVictim(GUARDED_VICTIM, "leftovers").exitedWith(0));
  EXPECT_TRUE(runVictim(BARE_VICTIM, "leftovers").exitedWith(1));
}

TEST(CrashGuard, NamesTheCallThatAPolicyTraps) {
  auto outcome = runInChild([] {
    CrashGuard::install("test");
    KJ_SYSCALL(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    sock_filter trapGetppid[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    sock_fprog program{std::size(trapGetppid), trapGetppid};
    KJ_SYSCALL(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
    syscall(SYS_getppid);
  });
  EXPECT_TRUE(outcome.diedBy(SIGSYS)) << outcome.status;
  EXPECT_THAT(outcome.errors, HasSubstr("reason=\"system call 110 is not in the policy\""));
}

TEST(CrashGuard, CutsALongName) {
  auto outcome = runInChild([] {
    CrashGuard::install("a-service-with-a-name-longer-than-any-process-has");
    abort();
  });
  EXPECT_TRUE(outcome.diedBy(SIGABRT));
  EXPECT_THAT(outcome.errors, HasSubstr("service=a-service-with-a-name-longer-th "));
}

TEST(CrashGuard, CutsALongReason) {
  auto outcome = runInChild([] {
    CrashGuard::install("test");
    KJ_FAIL_REQUIRE("a long text", kj::str(kj::repeat('x', 10000)));
  });
  EXPECT_TRUE(outcome.diedBy(SIGABRT));
  EXPECT_LT(outcome.errors.size(), 700u);
  EXPECT_EQ(outcome.errors.back(), '\n');
}

}  // namespace
}  // namespace bulkhead
