// SPDX-License-Identifier: Apache-2.0
// Profiles of system calls as tests write them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "zoneinit/runtime/system-call-profile.h"

namespace bulkhead::zone {

// Single quotes stand for double ones.
inline std::string json(std::string text) {
  std::ranges::replace(text, '\'', '"');
  return text;
}

inline SystemCallFilter readProfile(const std::string& text, CapabilityMask capabilities = 0) {
  auto whole = json(text);
  return customSystemCalls(kj::arrayPtr(whole.data(), whole.size()).asBytes(), capabilities);
}

// A profile that refuses what has no rule, and its rules.
inline std::string allowList(const std::string& rules) {
  return "{'defaultAction':'SCMP_ACT_ERRNO','syscalls':[" + rules + "]}";
}

// A profile that allows what has no rule.
inline std::string denyList(const std::string& rules) {
  return "{'defaultAction':'SCMP_ACT_ALLOW','syscalls':[" + rules + "]}";
}

inline std::string condition(uint index, const std::string& op, uint64_t value, uint64_t second) {
  return "{'index':" + std::to_string(index) + ",'op':'" + op +
         "','value':" + std::to_string(value) + ",'valueTwo':" + std::to_string(second) + "}";
}

}  // namespace bulkhead::zone
