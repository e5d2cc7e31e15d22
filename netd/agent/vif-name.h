// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/string.h>

#include <cstdint>

namespace bulkhead::net {

// The network back end names a device after the guest's domain and the interface's index; nothing
// else on a host has names of this form.
struct VifName {
  // Domain numbers from here on are not domains (DOMID_FIRST_RESERVED).
  static constexpr uint32_t kDomidEnd = 0x7ff0;
  // The longest name, "vif32751.999999", just fits (IFNAMSIZ).
  static constexpr uint32_t kIndexEnd = 1'000'000;

  uint32_t domid;
  uint32_t index;

  kj::String text() const { return kj::str("vif", domid, '.', index); }

  // Null unless it is exactly what `text` would give.
  static kj::Maybe<VifName> parse(kj::StringPtr name);
};

}  // namespace bulkhead::net
