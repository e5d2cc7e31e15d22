// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/profile-terms.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <string.h>

namespace bulkhead::zone {
namespace {

constexpr uint64_t kGreatestError = 4094;  // libseccomp stays below the kernel's MAX_ERRNO

struct ErrorName {
  kj::StringPtr name;
  int number;
};

// Second names, which strerrorname_np(3) does not give.
constexpr ErrorName kSecondNames[] = {
    {"ENOTSUP"_kj, ENOTSUP},         {"EOPNOTSUPP"_kj, EOPNOTSUPP}, {"EAGAIN"_kj, EAGAIN},
    {"EWOULDBLOCK"_kj, EWOULDBLOCK}, {"EDEADLK"_kj, EDEADLK},       {"EDEADLOCK"_kj, EDEADLOCK},
};

kj::Maybe<uint16_t> errorNumber(kj::StringPtr name) {
  for (auto& second : kSecondNames) {
    if (name == second.name) return static_cast<uint16_t>(second.number);
  }
  constexpr int last = EHWPOISON;
  for (int number = 1; number <= last; ++number) {
    const char* known = strerrorname_np(number);
    if (known != nullptr && name == known) return static_cast<uint16_t>(number);
  }
  return nullptr;
}

struct ActionName {
  kj::StringPtr name;
  uint32_t action;
};

constexpr ActionName kActions[] = {
    {"SCMP_ACT_KILL"_kj, SCMP_ACT_KILL_THREAD},
    {"SCMP_ACT_KILL_THREAD"_kj, SCMP_ACT_KILL_THREAD},
    {"SCMP_ACT_KILL_PROCESS"_kj, SCMP_ACT_KILL_PROCESS},
    {"SCMP_ACT_TRAP"_kj, SCMP_ACT_TRAP},
    {"SCMP_ACT_LOG"_kj, SCMP_ACT_LOG},
    {"SCMP_ACT_ALLOW"_kj, SCMP_ACT_ALLOW},
};

struct OperatorName {
  kj::StringPtr name;
  scmp_compare comparison;
};

constexpr OperatorName kOperators[] = {
    {"SCMP_CMP_NE"_kj, SCMP_CMP_NE},
    {"SCMP_CMP_LT"_kj, SCMP_CMP_LT},
    {"SCMP_CMP_LE"_kj, SCMP_CMP_LE},
    {"SCMP_CMP_EQ"_kj, SCMP_CMP_EQ},
    {"SCMP_CMP_GE"_kj, SCMP_CMP_GE},
    {"SCMP_CMP_GT"_kj, SCMP_CMP_GT},
    {"SCMP_CMP_MASKED_EQ"_kj, SCMP_CMP_MASKED_EQ},
};

}  // namespace

kj::Maybe<uint16_t> readError(const ProfileValue& object, kj::StringPtr numberField,
                              kj::StringPtr nameField) {
  kj::Maybe<uint16_t> result;
  KJ_IF_MAYBE (number, object.find(numberField)) {
    result = static_cast<uint16_t>(number->number(kGreatestError));
  }
  KJ_IF_MAYBE (name, object.find(nameField)) {
    if (name->text().size() > 0) {
      result = errorNumber(name->text());
      if (result == nullptr) name->refuseWord("is no error's name");
    }
  }
  return result;
}

uint32_t readAction(const ProfileValue& field, kj::Maybe<uint16_t> error) {
  auto name = field.text();
  if (name == "SCMP_ACT_ERRNO") return SCMP_ACT_ERRNO(error.orDefault(EPERM));
  if (name == "SCMP_ACT_NOTIFY") {
    field.refuseUnsupported("is SCMP_ACT_NOTIFY, and no supervisor outside a zone can answer calls",
                            "refuse the call with SCMP_ACT_ERRNO, or allow it");
  }
  if (name == "SCMP_ACT_TRACE") {
    field.refuseUnsupported("is SCMP_ACT_TRACE, and nothing in a zone traces its containers",
                            "SCMP_ACT_LOG allows a call and lets the zone's kernel log it");
  }
  for (auto& action : kActions) {
    if (name != action.name) continue;
    // The specification: a runtime must fail where the action takes no error.
    if (error != nullptr) field.refuse("returns no error, and an error is given for it");
    return action.action;
  }
  field.refuseWord("is no action", "actions are SCMP_ACT_ALLOW and its kind");
}

scmp_compare readOperator(const ProfileValue& field) {
  auto name = field.text();
  for (auto& known : kOperators) {
    if (name == known.name) return known.comparison;
  }
  field.refuseWord("is no operator", "operators are SCMP_CMP_EQ and its kind");
}

void checkArchitecture(const ProfileValue& field) {
  constexpr kj::StringPtr prefix = "SCMP_ARCH_"_kj;
  auto name = field.text();
  bool known = name.startsWith(prefix);
  if (known) {
    auto lower = kj::str(name.slice(prefix.size()));
    for (char& c : lower) {
      known &= c < 'a' || c > 'z';
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    known &= seccomp_arch_resolve_name(lower.cStr()) != 0;
  }
  if (!known) {
    field.refuseWord("is no architecture", "architectures are SCMP_ARCH_X86_64 and its kind");
  }
}

uint32_t readFlag(const ProfileValue& field) {
  auto name = field.text();
  if (name == "SECCOMP_FILTER_FLAG_LOG") return SECCOMP_FILTER_FLAG_LOG;
  if (name == "SECCOMP_FILTER_FLAG_SPEC_ALLOW") return SECCOMP_FILTER_FLAG_SPEC_ALLOW;
  // For all threads: there is one when the filter is loaded.
  if (name == "SECCOMP_FILTER_FLAG_TSYNC") return 0;
  if (name == "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV") {
    field.refuseUnsupported("is for SCMP_ACT_NOTIFY, which zones do not have");
  }
  field.refuseWord("is no flag");
}

}  // namespace bulkhead::zone
