// SPDX-License-Identifier: Apache-2.0
#include "netd/agent/vif-name.h"

namespace bulkhead::net {
namespace {

kj::Maybe<uint32_t> decimal(kj::ArrayPtr<const char> digits, uint32_t end) {
  if (digits.size() == 0 || digits.size() > 6) return nullptr;
  if (digits.size() > 1 && digits[0] == '0') return nullptr;
  uint32_t value = 0;
  for (char c : digits) {
    if (c < '0' || c > '9') return nullptr;
    value = value * 10 + static_cast<uint32_t>(c - '0');
  }
  if (value >= end) return nullptr;
  return value;
}

}  // namespace

kj::Maybe<VifName> VifName::parse(kj::StringPtr name) {
  if (!name.startsWith("vif")) return nullptr;
  KJ_IF_MAYBE (dot, name.findFirst('.')) {
    KJ_IF_MAYBE (domid, decimal(name.slice(3, *dot), kDomidEnd)) {
      KJ_IF_MAYBE (index, decimal(name.slice(*dot + 1), kIndexEnd)) {
        return VifName{*domid, *index};
      }
    }
  }
  return nullptr;
}

}  // namespace bulkhead::net
