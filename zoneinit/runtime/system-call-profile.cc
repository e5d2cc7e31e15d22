// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/system-call-profile.h"

#include <seccomp.h>
#include <stdlib.h>
#include <sys/utsname.h>

#include <kj/debug.h>
#include <kj/vector.h>

#include "zoneinit/runtime/profile-json.h"
#include "zoneinit/runtime/profile-terms.h"
#include "zoneinit/runtime/system-call-program.h"

namespace bulkhead::zone {
namespace {

constexpr size_t kMostRules = 1024;
constexpr size_t kMostNames = 4096;  // of all rules together
// Likewise, counted for each name. About what fits into a filter, and libseccomp's time grows
// steeply with them: this many can take it a second.
constexpr size_t kMostConditions = 1024;
constexpr size_t kMostOthers = 256;  // architectures, flags, capabilities
constexpr uint64_t kArguments = 6;

scmp_arg_cmp readCondition(const ProfileValue& object) {
  scmp_arg_cmp condition{};
  condition.arg = static_cast<unsigned>(object.need("index").number(kArguments - 1));
  condition.op = readOperator(object.need("op"));
  condition.datum_a = object.need("value").number(~uint64_t{0});
  KJ_IF_MAYBE (second, object.find("valueTwo")) {
    condition.datum_b = second->number(~uint64_t{0});
  }
  return condition;
}

kj::Vector<scmp_arg_cmp> readConditions(const ProfileValue& rule) {
  kj::Vector<scmp_arg_cmp> conditions;
  KJ_IF_MAYBE (arguments, rule.find("args")) {
    for (auto& argument : arguments->elements(kMostConditions)) {
      conditions.add(readCondition(argument));
    }
  }
  return conditions;
}

bool compareOneArgumentTwice(kj::ArrayPtr<const scmp_arg_cmp> conditions) {
  uint seen = 0;
  for (auto& condition : conditions) {
    uint bit = 1u << condition.arg;
    if ((seen & bit) != 0) return true;
    seen |= bit;
  }
  return false;
}

// Two numbers; what a distribution writes behind them says nothing about calls.
struct KernelVersion {
  uint64_t major;
  uint64_t minor;

  bool atLeast(const KernelVersion& other) const {
    return major != other.major ? major > other.major : minor >= other.minor;
  }
};

KernelVersion runningKernel() {
  utsname name{};
  KJ_SYSCALL(uname(&name));
  char* end = nullptr;
  uint64_t major = strtoul(name.release, &end, 10);
  return {major, *end == '.' ? strtoul(kj::StringPtr(end).slice(1).cStr(), nullptr, 10) : 0};
}

KernelVersion readKernelVersion(const ProfileValue& field) {
  auto text = field.text();
  KJ_IF_MAYBE (dot, text.findFirst('.')) {
    auto major = kj::str(text.slice(0, *dot)).tryParseAs<uint8_t>();
    auto minor = text.slice(*dot + 1).tryParseAs<uint8_t>();
    KJ_IF_MAYBE (first, major) {
      KJ_IF_MAYBE (second, minor) {
        return {*first, *second};
      }
    }
  }
  field.refuseWord("is no kernel version", "two numbers with a dot: \"4.8\"");
}

bool hasCapability(const ProfileValue& field, CapabilityMask capabilities) {
  auto name = field.text();
  if (!name.startsWith("CAP_")) {
    field.refuseWord("is no capability", "names start with CAP_");
  }
  try {
    return (capability(name.slice(4)) & capabilities) != 0;
  } catch (...) {
    // One that is younger than this program, so nobody has it.
    return false;
  }
}

// Which of a rule's bindings hold. Those that are not given do neither: a rule applies where none
// of `includes` fails and none of `excludes` holds.
struct Bindings {
  bool anyHolds = false;
  bool anyFails = false;

  void note(bool holds) {
    anyHolds |= holds;
    anyFails |= !holds;
  }
};

Bindings readBindings(const ProfileValue& rule, kj::StringPtr name, CapabilityMask capabilities) {
  Bindings result;
  KJ_IF_MAYBE (binding, rule.find(name)) {
    KJ_IF_MAYBE (names, binding->find("caps")) {
      for (auto& each : names->elements(kMostOthers)) {
        result.note(hasCapability(each, capabilities));
      }
    }
    KJ_IF_MAYBE (architectures, binding->find("arches")) {
      auto names = architectures->elements(kMostOthers);
      bool ours = false;
      for (auto& each : names) ours |= each.text() == "amd64";
      if (names.size() > 0) result.note(ours);
    }
    KJ_IF_MAYBE (version, binding->find("minKernel")) {
      if (version->text().size() > 0) {
        result.note(runningKernel().atLeast(readKernelVersion(*version)));
      }
    }
  }
  return result;
}

// Adds up over all rules.
struct Totals {
  size_t names = 0;
  size_t conditions = 0;
};

kj::StringPtr readName(const ProfileValue& field) {
  auto name = field.text();
  if (name.size() == 0) field.refuse("is empty");
  return name;
}

kj::Vector<kj::StringPtr> readNames(const ProfileValue& rule) {
  kj::Vector<kj::StringPtr> names;
  auto single = rule.find("name");
  auto several = rule.find("names");
  if (single != nullptr && several != nullptr) rule.refuse("has both \"name\" and \"names\"");
  KJ_IF_MAYBE (name, single) {
    names.add(readName(*name));
  }
  KJ_IF_MAYBE (list, several) {
    for (auto& name : list->elements(kMostNames)) names.add(readName(name));
  }
  if (names.size() == 0) rule.refuse("names no call");
  return names;
}

void addRule(SystemCallProgram& program, uint32_t action, kj::StringPtr name,
             kj::ArrayPtr<const scmp_arg_cmp> conditions) {
  if (!compareOneArgumentTwice(conditions)) {
    program.add(action, name, conditions);
    return;
  }
  // Profiles written for the first engines mean alternatives, and later readers kept that.
  for (auto& condition : conditions) program.add(action, name, kj::arrayPtr(&condition, 1));
}

void readRule(const ProfileValue& rule, CapabilityMask capabilities, Totals& totals,
              SystemCallProgram& program) {
  // All of it is checked, whether it applies or not: no profile is sound for some processes only.
  auto names = readNames(rule);
  auto action = readAction(rule.need("action"), readError(rule, "errnoRet", "errno"));
  auto conditions = readConditions(rule);
  bool applies = !readBindings(rule, "includes", capabilities).anyFails &&
                 !readBindings(rule, "excludes", capabilities).anyHolds;
  totals.names += names.size();
  if (totals.names > kMostNames) {
    rule.refuse(kj::str("makes more than ", kMostNames, " names of calls in all"));
  }
  totals.conditions += names.size() * conditions.size();
  if (totals.conditions > kMostConditions) {
    rule.refuse(kj::str("makes more than ", kMostConditions, " conditions of calls in all"));
  }
  if (!applies) return;
  for (auto name : names) addRule(program, action, name, conditions);
}

// Only checked: x86_64 is what a filter is for, listed or not, and a zone's kernel has no other.
void checkArchitectures(const ProfileValue& profile) {
  auto plain = profile.find("architectures");
  auto map = profile.find("archMap");
  if (plain != nullptr && map != nullptr) {
    profile.refuse("has both \"architectures\" and \"archMap\"");
  }
  KJ_IF_MAYBE (list, plain) {
    for (auto& each : list->elements(kMostOthers)) checkArchitecture(each);
  }
  KJ_IF_MAYBE (list, map) {
    for (auto& entry : list->elements(kMostOthers)) {
      checkArchitecture(entry.need("architecture"));
      KJ_IF_MAYBE (further, entry.find("subArchitectures")) {
        for (auto& each : further->elements(kMostOthers)) checkArchitecture(each);
      }
    }
  }
}

uint32_t readFlags(const ProfileValue& profile) {
  uint32_t flags = 0;
  KJ_IF_MAYBE (list, profile.find("flags")) {
    for (auto& each : list->elements(kMostOthers)) flags |= readFlag(each);
  }
  return flags;
}

void refuseListener(const ProfileValue& profile) {
  KJ_IF_MAYBE (path, profile.find("listenerPath")) {
    if (path->text().size() > 0) {
      path->refuseUnsupported("is for SCMP_ACT_NOTIFY, which zones do not have");
    }
  }
}

}  // namespace

SystemCallFilter customSystemCalls(kj::ArrayPtr<const kj::byte> json, CapabilityMask capabilities) {
  ProfileDocument document(json);
  auto profile = document.root();
  refuseListener(profile);
  checkArchitectures(profile);
  auto flags = readFlags(profile);
  SystemCallProgram program(readAction(profile.need("defaultAction"),
                                       readError(profile, "defaultErrnoRet", "defaultErrno")));
  Totals totals;
  KJ_IF_MAYBE (rules, profile.find("syscalls")) {
    for (auto& rule : rules->elements(kMostRules)) readRule(rule, capabilities, totals, program);
  }
  return {program.finish(), flags};
}

}  // namespace bulkhead::zone
