// SPDX-License-Identifier: Apache-2.0
// What is no profile, or none that a zone can have: which failure, and which field it names.
#include <linux/capability.h>
#include <linux/filter.h>

#include <string>

#include <gtest/gtest.h>

#include "services/runtime/failure.h"
#include "zoneinit/testing/profile-text.h"

namespace bulkhead::zone {
namespace {

struct Refusal {
  FailureCode code = FailureCode::INTERNAL;
  std::string message = "nothing was refused";
};

Refusal refusalOf(const std::string& text) {
  try {
    readProfile(text);
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

TEST(SystemCallProfileErrorTest, TakesAnErrorOnlyWhereOneIsReturned) {
  for (auto name : {"KILL", "KILL_THREAD", "KILL_PROCESS", "TRAP", "LOG", "ALLOW"}) {
    auto action = std::string("'SCMP_ACT_") + name + "'";
    expectInvalid(allowList("{'names':['read'],'action':" + action + ",'errnoRet':1}"),
                  "syscalls[0].action");
    expectInvalid("{'defaultAction':" + action + ",'defaultErrnoRet':1}", "defaultAction");
  }
}

TEST(SystemCallProfileErrorTest, SaysWhatZonesDoNotHave) {
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

TEST(SystemCallProfileErrorTest, RefusesRulesThatContradictEachOther) {
  auto rule = [](const char* action) {
    return std::string("{'names':['mmap'],'action':'") + action + "','args':[" +
           condition(0, "SCMP_CMP_EQ", 1, 0) + "]}";
  };
  expectInvalid(allowList(rule("SCMP_ACT_ALLOW") + "," + rule("SCMP_ACT_TRAP")), "mmap");
}

TEST(SystemCallProfileErrorTest, NamesTheFieldThatIsWrong) {
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

TEST(SystemCallProfileErrorTest, NamesTheRuleThatIsWrong) {
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

TEST(SystemCallProfileErrorTest, NamesTheConditionThatIsWrong) {
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

TEST(SystemCallProfileErrorTest, BoundsWhatIsRead) {
  auto rule = [](const std::string& names) {
    return "{'names':[" + names + "],'action':'SCMP_ACT_ALLOW'}";
  };
  readProfile(allowList(repeated(rule("'read'"), 1024)));
  expectInvalid(allowList(repeated(rule("'read'"), 1025)), "syscalls has 1025 elements");
  readProfile(allowList(rule(repeated("'no_such_call'", 4096))));
  expectInvalid(allowList(rule(repeated("'no_such_call'", 4097))), "syscalls[0].names");
  expectInvalid(allowList(rule(repeated("'no_such_call'", 4096)) + "," + rule("'read'")),
                "syscalls[1]");

  auto text = allowList(rule("'read'"));
  readProfile(text + std::string((256 << 10) - text.size(), ' '));
  expectInvalid(text + std::string((256 << 10) - text.size() + 1, ' '), "bytes");

  auto nested = [](size_t depth) {
    return "{'defaultAction':'SCMP_ACT_ALLOW','comment':" + std::string(depth, '[') +
           std::string(depth, ']') + "}";
  };
  readProfile(nested(12));
  expectInvalid(nested(20), "no JSON");
  expectInvalid(nested(100000), "no JSON");
}

TEST(SystemCallProfileErrorTest, BoundsConditionsAndInstructions) {
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
  EXPECT_LE(readProfile(allowList(rule("'read'", many(1, 1000)))).program.size(),
            size_t{BPF_MAXINSNS});
  expectInvalid(allowList(rule("'read'", many(1, 1024))), "instructions");
  expectInvalid(allowList(rule("'read'", many(1, 1025))), "syscalls[0].args");
}

TEST(SystemCallProfileErrorTest, RefusesEverythingThatIsNoJson) {
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

TEST(SystemCallProfileErrorTest, SurvivesEveryChangeOfOneByte) {
  auto text = json(
      "{'defaultAction':'SCMP_ACT_ERRNO','defaultErrnoRet':38,'flags':['SECCOMP_FILTER_FLAG_LOG'],"
      "'archMap':[{'architecture':'SCMP_ARCH_X86_64'}],'syscalls':[{'names':['read','mmap'],"
      "'action':'SCMP_ACT_ALLOW','args':[{'index':0,'value':12345678901234567890,'op':"
      "'SCMP_CMP_NE'}],'includes':{'caps':['CAP_BPF'],'minKernel':'4.8'},'excludes':{}}]}");
  auto tryOut = [](kj::ArrayPtr<const char> changed) {
    try {
      customSystemCalls(changed.asBytes(), CapabilityMask{1} << CAP_BPF);
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
