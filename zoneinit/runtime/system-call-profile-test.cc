// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/system-call-profile.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <string>

#include <gtest/gtest.h>

#include "sandbox-policies/bpf-evaluator.h"
#include "services/runtime/failure.h"

namespace bulkhead::zone {
namespace {

constexpr CapabilityMask bit(int number) { return CapabilityMask{1} << number; }
constexpr uint32_t kAllow = SECCOMP_RET_ALLOW;
constexpr uint32_t error(int number) { return SECCOMP_RET_ERRNO | static_cast<uint32_t>(number); }

// Single quotes stand for double ones.
std::string json(std::string text) {
  std::ranges::replace(text, '\'', '"');
  return text;
}

SystemCallFilter read(const std::string& text, CapabilityMask capabilities = 0) {
  auto whole = json(text);
  return customSystemCalls(kj::arrayPtr(whole.data(), whole.size()).asBytes(), capabilities);
}

// A profile that refuses what has no rule, and its rules.
std::string allowList(const std::string& rules) {
  return "{'defaultAction':'SCMP_ACT_ERRNO','syscalls':[" + rules + "]}";
}

// A profile that allows what has no rule.
std::string denyList(const std::string& rules) {
  return "{'defaultAction':'SCMP_ACT_ALLOW','syscalls':[" + rules + "]}";
}

uint32_t verdict(const SystemCallFilter& filter, int number, std::array<uint64_t, 6> arguments = {},
                 uint32_t architecture = AUDIT_ARCH_X86_64) {
  seccomp_data call{};
  call.nr = number;
  call.arch = architecture;
  std::ranges::copy(arguments, std::begin(call.args));
  return evaluateFilter(filter.program, call);
}

struct Refusal {
  FailureCode code = FailureCode::INTERNAL;
  std::string message = "nothing was refused";
};

Refusal refusalOf(const std::string& text) {
  try {
    read(text);
  } catch (...) {
    auto failure = failureOf(kj::getCaughtExceptionAsKj());
    EXPECT_STREQ(failure.subject.cStr(), "systemCalls");
    return {failure.code, failure.message.cStr()};
  }
  return {};
}

void expectRefusal(const std::string& text, FailureCode code, const std::string& part) {
  auto refusal = refusalOf(text);
  auto shown = text.substr(0, 400) + "\n" + refusal.message;
  EXPECT_EQ(refusal.code, code) << shown;
  EXPECT_NE(refusal.message.find(part), std::string::npos) << shown;
}

void expectInvalid(const std::string& text, const std::string& part) {
  expectRefusal(text, FailureCode::INVALID, part);
}

struct ActionCase {
  const char* name;
  uint32_t verdict;
};

constexpr ActionCase kActions[] = {
    {"SCMP_ACT_KILL", SECCOMP_RET_KILL_THREAD},
    {"SCMP_ACT_KILL_THREAD", SECCOMP_RET_KILL_THREAD},
    {"SCMP_ACT_KILL_PROCESS", SECCOMP_RET_KILL_PROCESS},
    {"SCMP_ACT_TRAP", SECCOMP_RET_TRAP},
    {"SCMP_ACT_ERRNO", error(EPERM)},
    {"SCMP_ACT_LOG", SECCOMP_RET_LOG},
    {"SCMP_ACT_ALLOW", kAllow},
};

TEST(SystemCallProfileTest, KnowsEveryAction) {
  for (auto& each : kActions) {
    auto rule = std::string("{'names':['read'],'action':'") + each.name + "'}";
    EXPECT_EQ(verdict(read(denyList(rule)), SYS_read), each.verdict) << each.name;
    EXPECT_EQ(verdict(read(denyList(rule)), SYS_write), kAllow) << each.name;
    auto byDefault = read(std::string("{'defaultAction':'") + each.name +
                          "','syscalls':[{'names':['read'],'action':'SCMP_ACT_ERRNO','errnoRet':7},"
                          "{'names':['mseal'],'action':'SCMP_ACT_ALLOW'}]}");
    EXPECT_EQ(verdict(byDefault, SYS_read), error(7)) << each.name;
    EXPECT_EQ(verdict(byDefault, SYS_write), each.verdict) << each.name;
  }
}

TEST(SystemCallProfileTest, ReturnsTheErrorThatIsAskedFor) {
  auto of = [](const std::string& extra) {
    return verdict(read(denyList("{'names':['read'],'action':'SCMP_ACT_ERRNO'" + extra + "}")),
                   SYS_read);
  };
  EXPECT_EQ(of(""), error(EPERM));
  EXPECT_EQ(of(",'errnoRet':null"), error(EPERM));
  EXPECT_EQ(of(",'errnoRet':22"), error(EINVAL));
  EXPECT_EQ(of(",'errnoRet':0"), error(0));
  EXPECT_EQ(of(",'errnoRet':4094"), error(4094));
  EXPECT_EQ(of(",'errno':'ENOSYS'"), error(ENOSYS));
  EXPECT_EQ(of(",'errno':'EOPNOTSUPP'"), error(EOPNOTSUPP));
  EXPECT_EQ(of(",'errno':'EHWPOISON'"), error(EHWPOISON));
  EXPECT_EQ(of(",'errnoRet':1,'errno':'ENOSYS'"), error(ENOSYS));
  EXPECT_EQ(of(",'errnoRet':5,'errno':''"), error(EIO));

  auto byDefault = [](const std::string& extra) {
    return verdict(read("{'defaultAction':'SCMP_ACT_ERRNO'" + extra + "}"), SYS_read);
  };
  EXPECT_EQ(byDefault(""), error(EPERM));
  EXPECT_EQ(byDefault(",'defaultErrnoRet':38"), error(ENOSYS));
  EXPECT_EQ(byDefault(",'defaultErrno':'EACCES','syscalls':[]"), error(EACCES));
}

TEST(SystemCallProfileTest, TakesAnErrorOnlyWhereOneIsReturned) {
  for (auto& each : kActions) {
    if (std::string(each.name) == "SCMP_ACT_ERRNO") continue;
    auto action = std::string("'SCMP_ACT_ERRNO'").replace(1, 14, each.name);
    expectInvalid(allowList("{'names':['read'],'action':" + action + ",'errnoRet':1}"),
                  "syscalls[0].action");
    expectInvalid("{'defaultAction':" + action + ",'defaultErrnoRet':1}", "defaultAction");
  }
}

TEST(SystemCallProfileTest, SaysWhatZonesDoNotHave) {
  auto unsupported = [](const std::string& text, const std::string& part) {
    expectRefusal(text, FailureCode::UNSUPPORTED, part);
  };
  unsupported(allowList("{'names':['read'],'action':'SCMP_ACT_NOTIFY'}"), "syscalls[0].action");
  unsupported(allowList("{'names':['read'],'action':'SCMP_ACT_TRACE','errnoRet':1}"),
              "syscalls[0].action");
  unsupported("{'defaultAction':'SCMP_ACT_TRACE'}", "defaultAction");
  unsupported("{'defaultAction':'SCMP_ACT_ALLOW','listenerPath':'/run/x'}", "listenerPath");
  unsupported(
      "{'defaultAction':'SCMP_ACT_ALLOW','flags':["
      "'SECCOMP_FILTER_FLAG_LOG','SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV']}",
      "flags[1]");
  // Where a rule does not apply, too.
  unsupported(allowList("{'names':['read'],'action':'SCMP_ACT_NOTIFY',"
                        "'includes':{'caps':['CAP_SYS_ADMIN']}}"),
              "syscalls[0].action");
}

struct OperatorCase {
  const char* name;
  uint64_t value, second;
  std::array<uint64_t, 3> matching;
  std::array<uint64_t, 3> others;
};

constexpr uint64_t kHigh = uint64_t{1} << 40;
constexpr uint64_t kMost = ~uint64_t{0};

constexpr OperatorCase kOperators[] = {
    {"SCMP_CMP_NE", kHigh + 5, 0, {5, kHigh, kMost}, {kHigh + 5, kHigh + 5, kHigh + 5}},
    {"SCMP_CMP_EQ", kHigh + 5, 0, {kHigh + 5, kHigh + 5, kHigh + 5}, {5, kHigh, kMost}},
    {"SCMP_CMP_LT", kHigh + 5, 0, {0, kHigh + 4, 7}, {kHigh + 5, kHigh + 6, kMost}},
    {"SCMP_CMP_LE", kHigh + 5, 0, {0, kHigh + 4, kHigh + 5}, {kHigh + 6, 2 * kHigh, kMost}},
    {"SCMP_CMP_GT", kHigh + 5, 0, {kHigh + 6, 2 * kHigh, kMost}, {0, kHigh + 4, kHigh + 5}},
    {"SCMP_CMP_GE", kHigh + 5, 0, {kHigh + 5, 2 * kHigh, kMost}, {0, kHigh + 4, 7}},
    {"SCMP_CMP_MASKED_EQ",
     kHigh | 0xf0,
     kHigh | 0x50,
     {kHigh | 0x50, kHigh | 0x5f, kHigh * 3 | 0x150},
     {0x50, kHigh | 0x70, kHigh}},
};

std::string condition(uint index, const std::string& op, uint64_t value, uint64_t second) {
  return "{'index':" + std::to_string(index) + ",'op':'" + op +
         "','value':" + std::to_string(value) + ",'valueTwo':" + std::to_string(second) + "}";
}

TEST(SystemCallProfileTest, ComparesEveryArgumentWithEveryOperator) {
  for (auto& each : kOperators) {
    for (uint index = 0; index < 6; ++index) {
      auto filter = read(allowList("{'names':['mmap'],'action':'SCMP_ACT_ALLOW','args':[" +
                                   condition(index, each.name, each.value, each.second) + "]}"));
      auto with = [&](uint64_t value) {
        std::array<uint64_t, 6> arguments{};
        arguments.at(index) = value;
        return verdict(filter, SYS_mmap, arguments);
      };
      for (auto value : each.matching) EXPECT_EQ(with(value), kAllow) << each.name << ' ' << value;
      for (auto value : each.others) {
        EXPECT_EQ(with(value), error(EPERM)) << each.name << ' ' << value;
      }
    }
  }
}

TEST(SystemCallProfileTest, ReadsAllSixtyFourBits) {
  for (uint64_t value : {kMost, kMost - 1, uint64_t{1} << 53 | 1, uint64_t{1000000000000000},
                         uint64_t{999999999999999}}) {
    for (bool inString : {false, true}) {
      auto digits = std::to_string(value);
      auto filter =
          read(allowList("{'names':['mmap'],'action':'SCMP_ACT_ALLOW','args':[{'index':0,"
                         "'op':'SCMP_CMP_EQ','value':" +
                         (inString ? "'" + digits + "'" : digits) + "}]}"));
      EXPECT_EQ(verdict(filter, SYS_mmap, {value}), kAllow) << value;
      EXPECT_EQ(verdict(filter, SYS_mmap, {value - 1}), error(EPERM)) << value;
      EXPECT_EQ(verdict(filter, SYS_mmap, {value + 1}), error(EPERM)) << value;
    }
  }
}

TEST(SystemCallProfileTest, WantsAllConditionsOfOneRule) {
  auto filter = read(allowList("{'names':['mmap','mremap'],'action':'SCMP_ACT_ALLOW','args':[" +
                               condition(0, "SCMP_CMP_EQ", 1, 0) + "," +
                               condition(3, "SCMP_CMP_EQ", 2, 0) + "]}"));
  for (int number : {SYS_mmap, SYS_mremap}) {
    EXPECT_EQ(verdict(filter, number, {1, 0, 0, 2}), kAllow);
    EXPECT_EQ(verdict(filter, number, {1, 0, 0, 3}), error(EPERM));
    EXPECT_EQ(verdict(filter, number, {0, 0, 0, 2}), error(EPERM));
  }
}

TEST(SystemCallProfileTest, TakesConditionsOnOneArgumentAsAlternatives) {
  auto filter = read(allowList(
      "{'names':['mmap'],'action':'SCMP_ACT_ALLOW','args':[" + condition(0, "SCMP_CMP_EQ", 1, 0) +
      "," + condition(0, "SCMP_CMP_EQ", 7, 0) + "," + condition(1, "SCMP_CMP_EQ", 9, 0) + "]}"));
  EXPECT_EQ(verdict(filter, SYS_mmap, {1, 0}), kAllow);
  EXPECT_EQ(verdict(filter, SYS_mmap, {7, 0}), kAllow);
  EXPECT_EQ(verdict(filter, SYS_mmap, {2, 9}), kAllow);
  EXPECT_EQ(verdict(filter, SYS_mmap, {2, 0}), error(EPERM));
}

TEST(SystemCallProfileTest, PassesOverCallsThatNobodyKnows) {
  auto filter = read(allowList(
      "{'names':['read','no_such_call','socketcall','arm_fadvise64_64','read2\\u00e4'],"
      "'action':'SCMP_ACT_ALLOW'},{'name':'write','action':'SCMP_ACT_ALLOW','comment':{'a':[1]}}"));
  EXPECT_EQ(verdict(filter, SYS_read), kAllow);
  EXPECT_EQ(verdict(filter, SYS_write), kAllow);
}

TEST(SystemCallProfileTest, LetsARuleWithoutConditionsTakeThePlaceOfOthers) {
  auto narrow = "{'names':['mmap'],'action':'SCMP_ACT_ALLOW','args':[" +
                condition(0, "SCMP_CMP_EQ", 1, 0) + "]}";
  auto wide = std::string("{'names':['mmap'],'action':'SCMP_ACT_ALLOW'}");
  for (auto& rules : {narrow + "," + wide, wide + "," + narrow, wide + "," + wide}) {
    EXPECT_EQ(verdict(read(allowList(rules)), SYS_mmap, {2}), kAllow) << rules;
  }
  EXPECT_EQ(verdict(read(allowList(narrow + "," + narrow)), SYS_mmap, {1}), kAllow);
  EXPECT_EQ(verdict(read(allowList(narrow)), SYS_mmap, {2}), error(EPERM));
}

TEST(SystemCallProfileTest, RefusesRulesThatContradictEachOther) {
  auto rule = [](const char* action) {
    return std::string("{'names':['mmap'],'action':'") + action + "','args':[" +
           condition(0, "SCMP_CMP_EQ", 1, 0) + "]}";
  };
  expectInvalid(allowList(rule("SCMP_ACT_ALLOW") + "," + rule("SCMP_ACT_TRAP")), "mmap");
}

TEST(SystemCallProfileTest, BindsRulesToCapabilities) {
  auto including = read(allowList("{'names':['mount'],'action':'SCMP_ACT_ALLOW','includes':{'caps':"
                                  "['CAP_SYS_ADMIN','CAP_BPF']}}"),
                        bit(CAP_SYS_ADMIN) | bit(CAP_BPF));
  EXPECT_EQ(verdict(including, SYS_mount), kAllow);
  auto rule = [](const std::string& bindings, CapabilityMask capabilities) {
    auto text = allowList("{'names':['read'],'action':'SCMP_ACT_ALLOW'," + bindings +
                          "},{'names':['mseal'],'action':'SCMP_ACT_ALLOW'}");
    return verdict(read(text, capabilities), SYS_read) == kAllow;
  };
  auto both = bit(CAP_SYS_ADMIN) | bit(CAP_BPF);
  auto includes = "'includes':{'caps':['CAP_SYS_ADMIN','CAP_BPF']}";
  EXPECT_TRUE(rule(includes, both));
  EXPECT_FALSE(rule(includes, bit(CAP_BPF)));
  EXPECT_FALSE(rule(includes, bit(CAP_SYS_ADMIN)));
  EXPECT_FALSE(rule(includes, 0));
  auto excludes = "'excludes':{'caps':['CAP_SYS_ADMIN','CAP_BPF']}";
  EXPECT_FALSE(rule(excludes, both));
  EXPECT_FALSE(rule(excludes, bit(CAP_BPF)));
  EXPECT_TRUE(rule(excludes, bit(CAP_CHOWN)));
  EXPECT_TRUE(rule("'includes':{},'excludes':{'caps':[]}", 0));
  EXPECT_TRUE(rule("'includes':{'caps':null},'excludes':null", 0));
  // One of tomorrow's kernels: nobody has it.
  EXPECT_FALSE(rule("'includes':{'caps':['CAP_OF_TOMORROW']}", kMost));
  EXPECT_TRUE(rule("'excludes':{'caps':['CAP_OF_TOMORROW']}", kMost));
}

TEST(SystemCallProfileTest, BindsRulesToArchitecturesAndKernels) {
  auto applies = [](const std::string& bindings) {
    auto text = allowList("{'names':['read'],'action':'SCMP_ACT_ALLOW'," + bindings +
                          "},{'names':['mseal'],'action':'SCMP_ACT_ALLOW'}");
    return verdict(read(text), SYS_read) == kAllow;
  };
  EXPECT_TRUE(applies("'includes':{'arches':['arm64','amd64']}"));
  EXPECT_FALSE(applies("'includes':{'arches':['arm64','x32','x86']}"));
  EXPECT_FALSE(applies("'excludes':{'arches':['arm64','amd64']}"));
  EXPECT_TRUE(applies("'excludes':{'arches':['s390','s390x']}"));
  EXPECT_TRUE(applies("'includes':{'arches':[]}"));
  EXPECT_TRUE(applies("'includes':{'minKernel':'4.8'}"));
  EXPECT_FALSE(applies("'includes':{'minKernel':'255.0'}"));
  EXPECT_FALSE(applies("'excludes':{'minKernel':'4.8'}"));
  EXPECT_TRUE(applies("'excludes':{'minKernel':'255.0'}"));
  EXPECT_TRUE(applies("'includes':{'minKernel':''}"));
  EXPECT_FALSE(applies("'includes':{'arches':['amd64'],'minKernel':'255.0'}"));
}

TEST(SystemCallProfileTest, KnowsOneArchitectureWhateverTheProfileLists) {
  for (auto list :
       {"'architectures':['SCMP_ARCH_X86','SCMP_ARCH_X32']",
        "'architectures':['SCMP_ARCH_X86_64','SCMP_ARCH_AARCH64','SCMP_ARCH_MIPSEL64N32',"
        "'SCMP_ARCH_PARISC64','SCMP_ARCH_RISCV64','SCMP_ARCH_S390X','SCMP_ARCH_LOONGARCH64']",
        "'archMap':[{'architecture':'SCMP_ARCH_X86_64','subArchitectures':['SCMP_ARCH_X86']},"
        "{'architecture':'SCMP_ARCH_RISCV64','subArchitectures':null}]"}) {
    for (auto action : {"SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"}) {
      auto filter = read(std::string("{'defaultAction':'") + action + "'," + list +
                         ",'syscalls':[{'names':['read'],'action':'SCMP_ACT_LOG'}]}");
      EXPECT_EQ(verdict(filter, SYS_read), SECCOMP_RET_LOG);
      EXPECT_EQ(verdict(filter, 3, {}, AUDIT_ARCH_I386), error(ENOSYS));
      EXPECT_EQ(verdict(filter, 0x40000000), error(ENOSYS));
    }
  }
}

TEST(SystemCallProfileTest, AnswersToYoungerCallsAsAnOldKernelWould) {
  auto rules =
      "{'names':['openat2','close'],'action':'SCMP_ACT_ALLOW'},"
      "{'names':['mseal'],'action':'SCMP_ACT_ALLOW','includes':{'caps':['CAP_BPF']}}";
  auto filter = read(allowList(rules));
  EXPECT_EQ(verdict(filter, SYS_openat2), kAllow);
  EXPECT_EQ(verdict(filter, SYS_openat2 - 1), error(EPERM));
  EXPECT_EQ(verdict(filter, SYS_openat2 + 1), error(ENOSYS));
  EXPECT_EQ(verdict(read(allowList(rules), bit(CAP_BPF)), SYS_openat2 + 1), error(EPERM));
  // A rule that says what holds anyway tells which calls its author knew.
  auto told =
      read(allowList(std::string(rules) + ",{'names':['mseal'],'action':'SCMP_ACT_ERRNO'}"));
  EXPECT_EQ(verdict(told, SYS_openat2 + 1), error(EPERM));
  EXPECT_EQ(verdict(told, SYS_openat2 + 100), error(ENOSYS));
  // Nothing is refused here, so nothing is too young.
  EXPECT_EQ(verdict(read(denyList("{'names':['read'],'action':'SCMP_ACT_TRAP'}")), 1000), kAllow);
}

TEST(SystemCallProfileTest, PassesFlagsOn) {
  auto flags = [](const std::string& list) {
    return read("{'defaultAction':'SCMP_ACT_ALLOW'," + list + "}").flags;
  };
  EXPECT_EQ(flags("'flags':[]"), 0u);
  EXPECT_EQ(flags("'syscalls':[]"), 0u);
  EXPECT_EQ(flags("'flags':['SECCOMP_FILTER_FLAG_TSYNC']"), 0u);
  EXPECT_EQ(flags("'flags':['SECCOMP_FILTER_FLAG_LOG','SECCOMP_FILTER_FLAG_SPEC_ALLOW']"),
            SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW);
}

TEST(SystemCallProfileTest, NamesTheFieldThatIsWrong) {
  expectInvalid("{}", "lacks \"defaultAction\"");
  expectInvalid("[]", "must be an object");
  expectInvalid("{'defaultAction':1}", "defaultAction must be a string");
  expectInvalid("{'defaultAction':'ALLOW'}", "defaultAction \"ALLOW\" is no action");
  expectInvalid("{'defaultAction':'SCMP_ACT_ALLOW','defaultAction':'SCMP_ACT_KILL'}", "twice");
  expectInvalid("{'defaultAction':'SCMP_ACT_ERRNO','defaultErrnoRet':4095}", "defaultErrnoRet");
  expectInvalid("{'defaultAction':'SCMP_ACT_ERRNO','defaultErrno':'ENOPE'}", "defaultErrno");
  expectInvalid("{'defaultAction':'SCMP_ACT_ALLOW','syscalls':{}}", "syscalls must be an array");
  expectInvalid("{'defaultAction':'SCMP_ACT_ALLOW','flags':['LOG']}", "flags[0]");
  for (auto name : {"SCMP_ARCH_PDP11", "x86_64", "SCMP_ARCH_", "SCMP_ARCH_x86"}) {
    auto text = std::string("'") + name + "'";
    expectInvalid("{'defaultAction':'SCMP_ACT_ALLOW','architectures':[" + text + "]}",
                  "architectures[0]");
    expectInvalid("{'defaultAction':'SCMP_ACT_ALLOW','archMap':[{'architecture':" + text + "}]}",
                  "archMap[0].architecture");
    expectInvalid(
        "{'defaultAction':'SCMP_ACT_ALLOW','archMap':[{'architecture':"
        "'SCMP_ARCH_X86_64','subArchitectures':['SCMP_ARCH_X32'," +
            text + "]}]}",
        "archMap[0].subArchitectures[1]");
  }
  expectInvalid("{'defaultAction':'SCMP_ACT_ALLOW','archMap':[],'architectures':[]}", "archMap");
}

TEST(SystemCallProfileTest, NamesTheRuleThatIsWrong) {
  auto wrong = [](const std::string& rule, const std::string& part) {
    expectInvalid(allowList("{'names':['read'],'action':'SCMP_ACT_ALLOW'}," + rule), part);
  };
  wrong("7", "syscalls[1] must be an object");
  wrong("{'action':'SCMP_ACT_ALLOW'}", "syscalls[1] names no call");
  wrong("{'names':[],'action':'SCMP_ACT_ALLOW'}", "syscalls[1] names no call");
  wrong("{'names':'read','action':'SCMP_ACT_ALLOW'}", "syscalls[1].names must be an array");
  wrong("{'names':['read',''],'action':'SCMP_ACT_ALLOW'}", "syscalls[1].names[1]");
  wrong("{'name':'','action':'SCMP_ACT_ALLOW'}", "syscalls[1].name");
  wrong("{'names':['read\\u0000x'],'action':'SCMP_ACT_ALLOW'}", "syscalls[1].names[0]");
  wrong("{'name':'read','names':['write'],'action':'SCMP_ACT_ALLOW'}", "\"names\"");
  wrong("{'names':['read']}", "syscalls[1] lacks \"action\"");
  wrong("{'names':['read'],'action':'SCMP_ACT_DENY'}", "syscalls[1].action");
  wrong("{'names':['read'],'action':'SCMP_ACT_ERRNO','errnoRet':-1}", "syscalls[1].errnoRet");
  wrong("{'names':['read'],'action':'SCMP_ACT_ERRNO','errnoRet':1.5}", "syscalls[1].errnoRet");
  wrong("{'names':['read'],'action':'SCMP_ACT_ERRNO','errno':'EPERM '}", "syscalls[1].errno");
  wrong("{'names':['read'],'action':'SCMP_ACT_ALLOW','includes':{'caps':['SYS_ADMIN']}}",
        "syscalls[1].includes.caps[0]");
  for (auto version : {"'6'", "'6.x'", "'6.1.2'", "'.'", "6", "'256.1'"}) {
    wrong(std::string("{'names':['read'],'action':'SCMP_ACT_ALLOW','excludes':{'minKernel':") +
              version + "}}",
          "syscalls[1].excludes.minKernel");
  }
}

TEST(SystemCallProfileTest, NamesTheConditionThatIsWrong) {
  auto wrong = [](const std::string& condition, const std::string& part) {
    expectInvalid(
        allowList("{'names':['read'],'action':'SCMP_ACT_ALLOW','args':[" + condition + "]}"),
        "syscalls[0].args[0]" + part);
  };
  wrong("{'value':1,'op':'SCMP_CMP_EQ'}", " lacks \"index\"");
  wrong("{'index':0,'op':'SCMP_CMP_EQ'}", " lacks \"value\"");
  wrong("{'index':0,'value':1}", " lacks \"op\"");
  wrong("{'index':6,'value':1,'op':'SCMP_CMP_EQ'}", ".index");
  wrong("{'index':0,'value':1,'op':'SCMP_CMP_LIKE'}", ".op");
  wrong("{'index':0,'value':18446744073709551616,'op':'SCMP_CMP_EQ'}", ".value");
  wrong("{'index':0,'value':-18446744073709551615,'op':'SCMP_CMP_EQ'}", ".value");
  wrong("{'index':0,'value':1e300,'op':'SCMP_CMP_EQ'}", ".value");
  wrong("{'index':0,'value':'010','op':'SCMP_CMP_EQ'}", ".value");
  wrong("{'index':0,'value':'0x10','op':'SCMP_CMP_EQ'}", ".value");
  wrong("{'index':0,'value':'','op':'SCMP_CMP_EQ'}", ".value");
  wrong("{'index':0,'value':1,'valueTwo':[],'op':'SCMP_CMP_EQ'}", ".valueTwo");
}

std::string repeated(const std::string& part, size_t count) {
  std::string result;
  for (size_t i = 0; i < count; ++i) result += (i == 0 ? "" : ",") + part;
  return result;
}

TEST(SystemCallProfileTest, BoundsWhatIsRead) {
  auto rule = [](const std::string& names) {
    return "{'names':[" + names + "],'action':'SCMP_ACT_ALLOW'}";
  };
  read(allowList(repeated(rule("'read'"), 1024)));
  expectInvalid(allowList(repeated(rule("'read'"), 1025)), "syscalls has 1025 elements");
  read(allowList(rule(repeated("'no_such_call'", 4096))));
  expectInvalid(allowList(rule(repeated("'no_such_call'", 4097))), "syscalls[0].names");
  expectInvalid(allowList(rule(repeated("'no_such_call'", 4096)) + "," + rule("'read'")),
                "syscalls[1]");

  auto text = allowList(rule("'read'"));
  read(text + std::string((256 << 10) - text.size(), ' '));
  expectInvalid(text + std::string((256 << 10) - text.size() + 1, ' '), "bytes");

  auto nested = [](size_t depth) {
    return "{'defaultAction':'SCMP_ACT_ALLOW','comment':" + std::string(depth, '[') +
           std::string(depth, ']') + "}";
  };
  read(nested(12));
  expectInvalid(nested(20), "no JSON");
  expectInvalid(nested(100000), "no JSON");
}

TEST(SystemCallProfileTest, BoundsConditionsAndInstructions) {
  auto rule = [](const std::string& names, const std::string& conditions) {
    return "{'names':[" + names + "],'action':'SCMP_ACT_ALLOW','args':[" + conditions + "]}";
  };
  auto equal = [](uint64_t value) { return condition(0, "SCMP_CMP_EQ", value, 0); };
  expectInvalid(allowList(rule(repeated("'read'", 513), equal(1) + "," + equal(2))),
                "conditions of calls in all");
  // Both halves of each differ from all others, so each is some instructions.
  auto many = [&](uint64_t first, uint64_t count) {
    std::string result;
    for (uint64_t i = first; i < first + count; ++i) {
      result += (i == first ? "" : ",") + equal(i * 3 << 32 | i);
    }
    return result;
  };
  auto fitting = read(allowList(rule("'read'", many(1, 1000))));
  EXPECT_LE(fitting.program.size(), size_t{BPF_MAXINSNS});
  EXPECT_EQ(verdict(fitting, SYS_read, {uint64_t{3000} << 32 | 1000}), kAllow);
  EXPECT_EQ(verdict(fitting, SYS_read, {uint64_t{3000} << 32 | 1001}), error(EPERM));
  expectInvalid(allowList(rule("'read'", many(1, 1024))), "instructions");
  expectInvalid(allowList(rule("'read'", many(1, 1025))), "syscalls[0].args");
}

TEST(SystemCallProfileTest, RefusesEverythingThatIsNoJson) {
  for (auto text : {"", " ", "{", "}", "'", "{'defaultAction'}", "{'defaultAction':}",
                    "{'defaultAction':'SCMP_ACT_ALLOW'}}", "{'defaultAction':'SCMP_ACT_ALLOW'",
                    "{'defaultAction':'SCMP_ACT_ALLOW',}", "nul", "1e", "'\\u12", "'\\", "\x01",
                    "{'a':-}", "{'a':12345678901234567890x}"}) {
    expectInvalid(text, "no JSON");
  }
  for (auto text : {"null", "1", "'text'", "[]", "true", "12345678901234567890"}) {
    expectInvalid(text, "must be an object");
  }
}

TEST(SystemCallProfileTest, SurvivesEveryChangeOfOneByte) {
  auto text = json(
      "{'defaultAction':'SCMP_ACT_ERRNO','defaultErrnoRet':38,'flags':['SECCOMP_FILTER_FLAG_LOG'],"
      "'archMap':[{'architecture':'SCMP_ARCH_X86_64'}],'syscalls':[{'names':['read','mmap'],"
      "'action':'SCMP_ACT_ALLOW','args':[{'index':0,'value':12345678901234567890,'op':"
      "'SCMP_CMP_NE'}],'includes':{'caps':['CAP_BPF'],'minKernel':'4.8'},'excludes':{}}]}");
  auto tryOut = [](kj::ArrayPtr<const char> changed) {
    try {
      customSystemCalls(changed.asBytes(), bit(CAP_BPF));
      return true;
    } catch (...) {
      auto code = failureOf(kj::getCaughtExceptionAsKj()).code;
      EXPECT_TRUE(code == FailureCode::INVALID || code == FailureCode::UNSUPPORTED)
          << std::string(changed.begin(), changed.size());
      return false;
    }
  };
  EXPECT_TRUE(tryOut(kj::arrayPtr(text.data(), text.size())));
  for (size_t i = 0; i < text.size(); ++i) {
    EXPECT_FALSE(tryOut(kj::arrayPtr(text.data(), i))) << i;
    for (char c : {'"', '\\', '{', ']', ',', '0', '-', 'e', '\0', '\xff', ' '}) {
      auto changed = text;
      changed[i] = c;
      tryOut(kj::arrayPtr(changed.data(), changed.size()));
    }
  }
}

}  // namespace
}  // namespace bulkhead::zone
