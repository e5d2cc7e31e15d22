// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/system-call-profile.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <string>

#include <gtest/gtest.h>

#include "sandbox-policies/bpf-evaluator.h"
#include "zoneinit/testing/profile-text.h"

namespace bulkhead::zone {
namespace {

constexpr CapabilityMask bit(int number) { return CapabilityMask{1} << number; }
constexpr uint32_t kAllow = SECCOMP_RET_ALLOW;
constexpr uint32_t error(int number) { return SECCOMP_RET_ERRNO | static_cast<uint32_t>(number); }

uint32_t verdict(const SystemCallFilter& filter, int number, std::array<uint64_t, 6> arguments = {},
                 uint32_t architecture = AUDIT_ARCH_X86_64) {
  seccomp_data call{};
  call.nr = number;
  call.arch = architecture;
  std::ranges::copy(arguments, std::begin(call.args));
  return evaluateFilter(filter.program, call);
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
    EXPECT_EQ(verdict(readProfile(denyList(rule)), SYS_read), each.verdict) << each.name;
    EXPECT_EQ(verdict(readProfile(denyList(rule)), SYS_write), kAllow) << each.name;
    auto byDefault =
        readProfile(std::string("{'defaultAction':'") + each.name +
                    "','syscalls':[{'names':['read'],'action':'SCMP_ACT_ERRNO','errnoRet':7},"
                    "{'names':['mseal'],'action':'SCMP_ACT_ALLOW'}]}");
    EXPECT_EQ(verdict(byDefault, SYS_read), error(7)) << each.name;
    EXPECT_EQ(verdict(byDefault, SYS_write), each.verdict) << each.name;
  }
}

TEST(SystemCallProfileTest, ReturnsTheErrorThatIsAskedFor) {
  auto of = [](const std::string& extra) {
    return verdict(
        readProfile(denyList("{'names':['read'],'action':'SCMP_ACT_ERRNO'" + extra + "}")),
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
    return verdict(readProfile("{'defaultAction':'SCMP_ACT_ERRNO'" + extra + "}"), SYS_read);
  };
  EXPECT_EQ(byDefault(""), error(EPERM));
  EXPECT_EQ(byDefault(",'defaultErrnoRet':38"), error(ENOSYS));
  EXPECT_EQ(byDefault(",'defaultErrno':'EACCES','syscalls':[]"), error(EACCES));
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

TEST(SystemCallProfileTest, ComparesEveryArgumentWithEveryOperator) {
  for (auto& each : kOperators) {
    for (uint index = 0; index < 6; ++index) {
      auto filter =
          readProfile(allowList("{'names':['mmap'],'action':'SCMP_ACT_ALLOW','args':[" +
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
          readProfile(allowList("{'names':['mmap'],'action':'SCMP_ACT_ALLOW','args':[{'index':0,"
                                "'op':'SCMP_CMP_EQ','value':" +
                                (inString ? "'" + digits + "'" : digits) + "}]}"));
      EXPECT_EQ(verdict(filter, SYS_mmap, {value}), kAllow) << value;
      EXPECT_EQ(verdict(filter, SYS_mmap, {value - 1}), error(EPERM)) << value;
      EXPECT_EQ(verdict(filter, SYS_mmap, {value + 1}), error(EPERM)) << value;
    }
  }
}

TEST(SystemCallProfileTest, WantsAllConditionsOfOneRule) {
  auto filter = readProfile(allowList(
      "{'names':['mmap','mremap'],'action':'SCMP_ACT_ALLOW','args':[" +
      condition(0, "SCMP_CMP_EQ", 1, 0) + "," + condition(3, "SCMP_CMP_EQ", 2, 0) + "]}"));
  for (int number : {SYS_mmap, SYS_mremap}) {
    EXPECT_EQ(verdict(filter, number, {1, 0, 0, 2}), kAllow);
    EXPECT_EQ(verdict(filter, number, {1, 0, 0, 3}), error(EPERM));
    EXPECT_EQ(verdict(filter, number, {0, 0, 0, 2}), error(EPERM));
  }
}

TEST(SystemCallProfileTest, TakesConditionsOnOneArgumentAsAlternatives) {
  auto filter = readProfile(allowList(
      "{'names':['mmap'],'action':'SCMP_ACT_ALLOW','args':[" + condition(0, "SCMP_CMP_EQ", 1, 0) +
      "," + condition(0, "SCMP_CMP_EQ", 7, 0) + "," + condition(1, "SCMP_CMP_EQ", 9, 0) + "]}"));
  EXPECT_EQ(verdict(filter, SYS_mmap, {1, 0}), kAllow);
  EXPECT_EQ(verdict(filter, SYS_mmap, {7, 0}), kAllow);
  EXPECT_EQ(verdict(filter, SYS_mmap, {2, 9}), kAllow);
  EXPECT_EQ(verdict(filter, SYS_mmap, {2, 0}), error(EPERM));
}

TEST(SystemCallProfileTest, FindsOneOfManyAlternatives) {
  // Both halves of each differ from those of all others.
  std::string many;
  for (uint64_t i = 1; i <= 500; ++i) {
    many += (i == 1 ? "" : ",") + condition(0, "SCMP_CMP_EQ", i * 3 << 32 | i, 0);
  }
  auto filter =
      readProfile(allowList("{'names':['read'],'action':'SCMP_ACT_ALLOW','args':[" + many + "]}"));
  for (uint64_t i = 1; i <= 500; ++i) {
    EXPECT_EQ(verdict(filter, SYS_read, {i * 3 << 32 | i}), kAllow) << i;
    EXPECT_EQ(verdict(filter, SYS_read, {i * 3 << 32 | (i + 1)}), error(EPERM)) << i;
  }
}

TEST(SystemCallProfileTest, PassesOverCallsThatNobodyKnows) {
  auto filter = readProfile(allowList(
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
    EXPECT_EQ(verdict(readProfile(allowList(rules)), SYS_mmap, {2}), kAllow) << rules;
  }
  EXPECT_EQ(verdict(readProfile(allowList(narrow + "," + narrow)), SYS_mmap, {1}), kAllow);
  EXPECT_EQ(verdict(readProfile(allowList(narrow)), SYS_mmap, {2}), error(EPERM));
}

TEST(SystemCallProfileTest, BindsRulesToCapabilities) {
  auto including =
      readProfile(allowList("{'names':['mount'],'action':'SCMP_ACT_ALLOW','includes':{'caps':"
                            "['CAP_SYS_ADMIN','CAP_BPF']}}"),
                  bit(CAP_SYS_ADMIN) | bit(CAP_BPF));
  EXPECT_EQ(verdict(including, SYS_mount), kAllow);
  auto rule = [](const std::string& bindings, CapabilityMask capabilities) {
    auto text = allowList("{'names':['read'],'action':'SCMP_ACT_ALLOW'," + bindings +
                          "},{'names':['mseal'],'action':'SCMP_ACT_ALLOW'}");
    return verdict(readProfile(text, capabilities), SYS_read) == kAllow;
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
    return verdict(readProfile(text), SYS_read) == kAllow;
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
      auto filter = readProfile(std::string("{'defaultAction':'") + action + "'," + list +
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
  auto filter = readProfile(allowList(rules));
  EXPECT_EQ(verdict(filter, SYS_openat2), kAllow);
  EXPECT_EQ(verdict(filter, SYS_openat2 - 1), error(EPERM));
  EXPECT_EQ(verdict(filter, SYS_openat2 + 1), error(ENOSYS));
  EXPECT_EQ(verdict(readProfile(allowList(rules), bit(CAP_BPF)), SYS_openat2 + 1), error(EPERM));
  // A rule that says what holds anyway tells which calls its author knew.
  auto told =
      readProfile(allowList(std::string(rules) + ",{'names':['mseal'],'action':'SCMP_ACT_ERRNO'}"));
  EXPECT_EQ(verdict(told, SYS_openat2 + 1), error(EPERM));
  EXPECT_EQ(verdict(told, SYS_openat2 + 100), error(ENOSYS));
  // Nothing is refused here, so nothing is too young.
  EXPECT_EQ(verdict(readProfile(denyList("{'names':['read'],'action':'SCMP_ACT_TRAP'}")), 1000),
            kAllow);
}

TEST(SystemCallProfileTest, PassesFlagsOn) {
  auto flags = [](const std::string& list) {
    return readProfile("{'defaultAction':'SCMP_ACT_ALLOW'," + list + "}").flags;
  };
  EXPECT_EQ(flags("'flags':[]"), 0u);
  EXPECT_EQ(flags("'syscalls':[]"), 0u);
  EXPECT_EQ(flags("'flags':['SECCOMP_FILTER_FLAG_TSYNC']"), 0u);
  EXPECT_EQ(flags("'flags':['SECCOMP_FILTER_FLAG_LOG','SECCOMP_FILTER_FLAG_SPEC_ALLOW']"),
            SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW);
}

}  // namespace
}  // namespace bulkhead::zone
