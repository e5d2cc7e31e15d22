// SPDX-License-Identifier: Apache-2.0
// What the compiler reads, and every reason for which it refuses a policy.
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <kj/map.h>

#include <gtest/gtest.h>

#include "sandbox-policies/policy.h"

namespace bulkhead::policy {
namespace {

struct TestFile {
  kj::StringPtr name;
  kj::StringPtr text;
};

struct Outcome {
  Policy policy;
  Complaints complaints;
};

// Compiles "main.policy" out of files held in memory.
Outcome compile(std::initializer_list<TestFile> files) {
  FileSource source = [&](kj::StringPtr name) -> kj::Maybe<kj::String> {
    for (const auto& file : files) {
      if (file.name == name) return kj::str(file.text);
    }
    return nullptr;
  };
  Complaints complaints;
  auto policy = readPolicy("main.policy", source, complaints);
  return Outcome{kj::mv(policy), kj::mv(complaints)};
}

Outcome compile(kj::StringPtr text) { return compile({{"main.policy"_kj, text}}); }

// The rules of a text that must be right.
kj::Vector<Rule> rulesOf(kj::StringPtr text) {
  auto outcome = compile(text);
  EXPECT_TRUE(outcome.complaints.empty())
      << (outcome.complaints.empty() ? "" : outcome.complaints.all()[0].cStr());
  return kj::mv(outcome.policy.rules);
}

TEST(PolicyText, AllowsAlways) {
  auto rules = rulesOf("# a comment\n\nread: allow  # because\n");
  ASSERT_EQ(rules.size(), 1u);
  EXPECT_EQ(rules[0].syscall, "read");
  EXPECT_EQ(rules[0].number, 0);
  EXPECT_EQ(rules[0].error, 0);
  EXPECT_EQ(rules[0].line, 3u);
  EXPECT_EQ(rules[0].clauses.size(), 0u);
}

TEST(PolicyText, AnswersAnErrno) {
  auto rules = rulesOf(
      "clone3: errno ENOSYS  # because\n"
      "ioctl: errno ENOTTY if arg1 == TCGETS  # because\n");
  ASSERT_EQ(rules.size(), 2u);
  EXPECT_EQ(rules[0].error, ENOSYS);
  EXPECT_EQ(rules[0].clauses.size(), 0u);
  EXPECT_EQ(rules[1].error, ENOTTY);
  ASSERT_EQ(rules[1].clauses.size(), 1u);
}

void expectClause(const Clause& clause, std::initializer_list<Condition> expected) {
  ASSERT_EQ(clause.size(), expected.size());
  size_t i = 0;
  for (const auto& condition : expected) EXPECT_EQ(clause[i++], condition);
}

TEST(PolicyText, ComparesIntArgumentsInTheirLowerHalf) {
  auto rules = rulesOf("socket: arg0 == AF_UNIX  # because\n");
  ASSERT_EQ(rules[0].clauses.size(), 1u);
  expectClause(rules[0].clauses[0], {{0, 0xffffffff, AF_UNIX}});
}

TEST(PolicyText, ComparesLongArgumentsWhole) {
  auto rules = rulesOf("mmap: arg2 == PROT_READ  # because\n");
  expectClause(rules[0].clauses[0], {{2, ~uint64_t{0}, PROT_READ}});
}

TEST(PolicyText, AllowsOnlyTheseBits) {
  auto rules = rulesOf("mmap: arg2 in PROT_READ | PROT_WRITE  # because\n");
  expectClause(rules[0].clauses[0], {{2, ~uint64_t{PROT_READ | PROT_WRITE}, 0}});
}

TEST(PolicyText, ForbidsTheseBits) {
  auto rules = rulesOf("mmap: arg2 in ~PROT_EXEC  # because\n");
  expectClause(rules[0].clauses[0], {{2, PROT_EXEC, 0}});
}

TEST(PolicyText, ComparesUnderAMask) {
  auto rules = rulesOf("socket: arg1 & (SOCK_STREAM | SOCK_CLOEXEC) == SOCK_CLOEXEC  # because\n");
  expectClause(rules[0].clauses[0], {{1, SOCK_STREAM | SOCK_CLOEXEC, SOCK_CLOEXEC}});
}

TEST(PolicyText, ListsAlternatives) {
  auto rules = rulesOf("futex: arg1 & FUTEX_CMD_MASK in {FUTEX_WAIT, FUTEX_WAKE}  # because\n");
  constexpr auto mask = static_cast<uint32_t>(FUTEX_CMD_MASK);
  ASSERT_EQ(rules[0].clauses.size(), 2u);
  expectClause(rules[0].clauses[0], {{1, mask, FUTEX_WAIT}});
  expectClause(rules[0].clauses[1], {{1, mask, FUTEX_WAKE}});
}

TEST(PolicyText, DistributesAlternativesOverConjunctions) {
  auto rules = rulesOf(
      "socket: arg0 in {AF_INET, AF_INET6} && arg2 in {0, 6} "
      "|| arg0 == AF_UNIX  # because\n");
  ASSERT_EQ(rules[0].clauses.size(), 5u);
  expectClause(rules[0].clauses[3], {{0, 0xffffffff, AF_INET6}, {2, 0xffffffff, 6}});
  expectClause(rules[0].clauses[4], {{0, 0xffffffff, AF_UNIX}});
}

TEST(PolicyText, JoinsConditionsOnOneArgument) {
  auto rules = rulesOf("mmap: arg2 in ~PROT_EXEC && arg2 & PROT_READ == PROT_READ  # because\n");
  expectClause(rules[0].clauses[0], {{2, PROT_EXEC | PROT_READ, PROT_READ}});
}

TEST(PolicyText, ReadsNumbers) {
  auto rules = rulesOf("fchmod: arg1 in {0444, 0x100, 9}  # because of IXOTH\n");
  expectClause(rules[0].clauses[0], {{1, 0xffff, 0444}});
  expectClause(rules[0].clauses[1], {{1, 0xffff, 0x100}});
  expectClause(rules[0].clauses[2], {{1, 0xffff, 9}});
}

TEST(PolicyText, TellsWhetherAPointerIsThere) {
  auto rules = rulesOf("sendto: arg4 == 0  # because\n");
  expectClause(rules[0].clauses[0], {{4, ~uint64_t{0}, 0}});
}

TEST(PolicyText, ReadsIncludesFirst) {
  auto outcome =
      compile({{"main.policy"_kj, "@include base.policy  # because\nread: allow  # r\n"_kj},
               {"base.policy"_kj, "write: allow  # because\n"_kj}});
  ASSERT_TRUE(outcome.complaints.empty());
  ASSERT_EQ(outcome.policy.rules.size(), 2u);
  EXPECT_EQ(outcome.policy.rules[0].file, "base.policy");
  EXPECT_EQ(outcome.policy.rules[1].file, "main.policy");
  ASSERT_EQ(outcome.policy.files.size(), 2u);
  EXPECT_EQ(outcome.policy.files[0], "main.policy");
}

TEST(PolicyText, AddsToAnIncludedRule) {
  auto outcome = compile(
      {{"main.policy"_kj, "@include base.policy  # because\nioctl: arg1 == FIONREAD  # r\n"_kj},
       {"base.policy"_kj, "ioctl: arg1 in {FIONBIO, FIOCLEX}  # because\n"_kj}});
  EXPECT_TRUE(outcome.complaints.empty());
}

// --- what is refused, and in which words -------------------------------------------------------

struct Refusal {
  const char* name;
  kj::StringPtr text;
  kj::StringPtr complaint;
};

void PrintTo(const Refusal& refusal, std::ostream* out) { *out << refusal.name; }

class PolicyRefusal : public testing::TestWithParam<Refusal> {};

TEST_P(PolicyRefusal, SaysWhereAndWhy) {
  auto outcome = compile({{"main.policy"_kj, GetParam().text},
                          {"base.policy"_kj, "read: allow  # because\n"_kj},
                          {"loop.policy"_kj, "@include main.policy  # because\n"_kj}});
  ASSERT_EQ(outcome.complaints.all().size(), 1u);
  EXPECT_STREQ(outcome.complaints.all()[0].cStr(), GetParam().complaint.cStr());
}

const Refusal refusals[] = {
    {"UnknownCall", "raed: allow  # r\n"_kj,
     "main.policy:1: there is no system call 'raed' on x86-64"_kj},
    {"CallOfAnotherArchitecture", "socketcall: allow  # r\n"_kj,
     "main.policy:1: there is no system call 'socketcall' on x86-64"_kj},
    {"UnknownConstant", "socket: arg0 == AF_UNIXX  # r\n"_kj,
     "main.policy:1: the constant 'AF_UNIXX' is not in the table of policy-constants.cc"_kj},
    {"UnknownErrno", "open: errno EWHAT  # r\n"_kj,
     "main.policy:1: the errno 'EWHAT' is not in the table of policy-constants.cc"_kj},
    {"NoReason", "read: allow\n"_kj,
     "main.policy:1: the reason is missing: end the line with '# why this process needs it'"_kj},
    {"EmptyReason", "read: allow #  \n"_kj,
     "main.policy:1: the reason is missing: end the line with '# why this process needs it'"_kj},
    {"IncludeWithoutReason", "@include base.policy\n"_kj,
     "main.policy:1: the reason is missing: end the line with '# why this process needs it'"_kj},
    {"Unsorted", "write: allow  # r\nread: allow  # r\n"_kj,
     "main.policy:2: rules are sorted by name: 'read' belongs before 'write'"_kj},
    {"DuplicateInOneFile", "read: allow  # r\nread: allow  # r\n"_kj,
     "main.policy:2: 'read' has a rule already, at main.policy:1"_kj},
    {"DuplicateAcrossFiles", "@include base.policy  # r\nread: allow  # r\n"_kj,
     "main.policy:2: 'read' has a rule already, at base.policy:1"_kj},
    {"AllowBesideErrno", "open: allow  # r\nopen: errno ENOSYS  # r\n"_kj,
     "main.policy:2: 'open' has a rule already, at main.policy:1"_kj},
    {"ConditionAfterAllow", "@include base.policy  # r\nread: arg2 == 1  # r\n"_kj,
     "main.policy:2: this rule is never reached: 'read' has an unconditional rule at "
     "base.policy:1"_kj},
    {"ConditionBeforeAllow", "socket: arg0 == AF_UNIX  # r\nsocket: allow  # r\n"_kj,
     "main.policy:1: this rule is never reached: 'socket' has an unconditional rule at "
     "main.policy:2"_kj},
    {"SameConditionTwice", "socket: arg0 == AF_UNIX  # r\nsocket: arg0 == AF_UNIX  # r\n"_kj,
     "main.policy:2: this rule of 'socket' is never reached: the one at main.policy:1 covers "
     "it"_kj},
    {"NarrowerCondition",
     "socket: arg0 == AF_UNIX  # r\nsocket: arg0 == AF_UNIX && arg2 == 0  # r\n"_kj,
     "main.policy:2: this rule of 'socket' is never reached: the one at main.policy:1 covers "
     "it"_kj},
    {"WiderConditionLater",
     "socket: arg0 == AF_UNIX && arg2 == 0  # r\nsocket: arg0 == AF_UNIX  # r\n"_kj,
     "main.policy:1: this rule of 'socket' is never reached: the one at main.policy:2 covers "
     "it"_kj},
    {"SameAlternativeTwice", "socket: arg0 in {AF_UNIX, AF_INET, AF_UNIX}  # r\n"_kj,
     "main.policy:1: alternative 3 of 'socket' is never reached: alternative 1 covers it"_kj},
    {"NarrowerAlternative", "mmap: arg2 == PROT_READ || arg2 in ~PROT_EXEC  # r\n"_kj,
     "main.policy:1: alternative 1 of 'mmap' is never reached: alternative 2 covers it"_kj},
    {"ErrnoOverlapsAllow",
     "openat: arg2 in ~O_CREAT  # r\nopenat: errno EACCES if arg2 & O_RDWR == O_RDWR  # r\n"_kj,
     "main.policy:2: a call of 'openat' can match both this rule and the one at main.policy:1, "
     "which answers differently"_kj},
    {"TwoErrnosOverlap",
     "openat: errno EPERM if arg0 == 1  # r\nopenat: errno EACCES if arg2 == 0  # r\n"_kj,
     "main.policy:2: a call of 'openat' can match both this rule and the one at main.policy:1, "
     "which answers differently"_kj},
    {"NeverTogether", "socket: arg0 == AF_UNIX && arg0 == AF_INET  # r\n"_kj,
     "main.policy:1: the conditions on arg0 can never hold together"_kj},
    {"AlwaysTrue", "mmap: arg2 in ~0  # r\n"_kj,
     "main.policy:1: the condition on arg2 always holds"_kj},
    {"EmptyMask", "mmap: arg2 & 0 == 0  # r\n"_kj,
     "main.policy:1: the mask on arg2 is zero, so the condition always holds"_kj},
    {"ValueOutsideMask", "mmap: arg2 & PROT_EXEC == PROT_READ  # r\n"_kj,
     "main.policy:1: the value 0x1 has bits that are not compared: the argument or its mask is "
     "narrower"_kj},
    {"ValueTooWide", "socket: arg0 == 0x100000000  # r NAME\n"_kj,
     "main.policy:1: the value 0x100000000 has bits that are not compared: the argument or its "
     "mask is narrower"_kj},
    {"NoSuchArgument", "socket: arg3 == 0  # r\n"_kj, "main.policy:1: 'socket' has no arg3"_kj},
    {"ArgumentSix", "socket: arg6 == 0  # r\n"_kj,
     "main.policy:1: expected 'allow', 'errno' or a condition on arg0 to arg5, found 'arg6'"_kj},
    {"PointerCompared", "openat: arg1 == 5  # r\n"_kj,
     "main.policy:1: arg1 of 'openat' is a pointer: a filter can only tell whether it is 0"_kj},
    {"UnknownWidths", "personality: arg0 == 0  # r\n"_kj,
     "main.policy:1: the argument widths of 'personality' are not known: add it to "
     "policy-names.cc"_kj},
    {"BareNumber", "ioctl: arg1 == 0x5451  # r\n"_kj,
     "main.policy:1: a number needs its symbolic name in the reason"_kj},
    {"BadNumber", "socket: arg0 == 0xAF  # r\n"_kj,
     "main.policy:1: '0xAF' is not a number (decimal, octal after 0, lower-case hexadecimal after "
     "0x)"_kj},
    {"HugeNumber", "mmap: arg2 == 99999999999999999999  # r\n"_kj,
     "main.policy:1: '99999999999999999999' is not a number (decimal, octal after 0, lower-case "
     "hexadecimal after 0x)"_kj},
    {"NoColon", "read allow  # r\n"_kj,
     "main.policy:1: a rule is written 'SYSCALL: allow', 'SYSCALL: errno NAME' or 'SYSCALL: "
     "CONDITION'"_kj},
    {"NothingAfterColon", "read:  # r\n"_kj,
     "main.policy:1: expected 'allow', 'errno' or a condition on arg0 to arg5, found the end of "
     "the line"_kj},
    {"TextAfterAllow", "read: allow always  # r\n"_kj,
     "main.policy:1: unexpected 'always' after 'allow'"_kj},
    {"TextAfterErrno", "read: errno EPERM unless arg0 == 1  # r\n"_kj,
     "main.policy:1: unexpected 'unless arg0 == 1' after the errno; a condition begins with "
     "'if'"_kj},
    {"TextAfterCondition", "socket: arg0 == AF_UNIX AF_INET  # r\n"_kj,
     "main.policy:1: unexpected 'AF_INET' after the condition"_kj},
    {"NoOperator", "socket: arg0 AF_UNIX  # r\n"_kj,
     "main.policy:1: expected '==', 'in' or a mask after arg0, found 'AF_UNIX'"_kj},
    {"OpenBrace", "socket: arg0 in {AF_UNIX  # r\n"_kj,
     "main.policy:1: expected ',' or '}', found the end of the line"_kj},
    {"OpenParenthesis", "socket: arg1 & (SOCK_STREAM == 0  # r\n"_kj,
     "main.policy:1: expected ')', found '== 0'"_kj},
    {"HalfCondition", "socket: arg0 == AF_UNIX &&  # r\n"_kj,
     "main.policy:1: expected 'allow', 'errno' or a condition on arg0 to arg5, found the end of "
     "the line"_kj},
    {"NoValue", "socket: arg0 ==  # r\n"_kj,
     "main.policy:1: expected a constant, found the end of the line"_kj},
    {"UnknownDirective", "@import base.policy  # r\n"_kj,
     "main.policy:1: after '@' only 'include FILE' is understood"_kj},
    {"MissingInclude", "@include absent.policy  # r\n"_kj,
     "main.policy:1: there is no policy file 'absent.policy'"_kj},
    {"IncludedTwice", "@include base.policy  # r\n@include base.policy  # r\n"_kj,
     "main.policy:2: 'base.policy' is included already"_kj},
    {"IncludesItself", "@include loop.policy  # r\n"_kj,
     "loop.policy:1: 'main.policy' is included already"_kj},
    {"IncludeAfterRule", "write: allow  # r\n@include base.policy  # r\n"_kj,
     "main.policy:2: an include must stand before the first rule"_kj},
};

INSTANTIATE_TEST_SUITE_P(All, PolicyRefusal, testing::ValuesIn(refusals),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(PolicyRefusals, AreAllReportedInOneRun) {
  auto outcome = compile("raed: allow  # r\nread: allow\nsocket: arg9 == 1  # r\n");
  EXPECT_EQ(outcome.complaints.all().size(), 3u);
}

TEST(PolicyRefusals, TheFileItselfIsMissing) {
  auto outcome = compile({});
  ASSERT_EQ(outcome.complaints.all().size(), 1u);
  EXPECT_STREQ(outcome.complaints.all()[0].cStr(),
               "main.policy:0: there is no policy file 'main.policy'");
}

}  // namespace
}  // namespace bulkhead::policy
