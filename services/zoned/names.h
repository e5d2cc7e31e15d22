// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/function.h>
#include <kj/string.h>

namespace bulkhead {

constexpr size_t kMaxNameBytes = 63;

// Whether the text may name a zone or be a host name: [a-z0-9] then [a-z0-9-], 63 bytes at most.
bool isValidName(kj::StringPtr text);

// A name such as "quiet-otter" that `taken` does not know; with a number behind it when the plain
// ones run out.
kj::String inventName(kj::FunctionParam<bool(kj::StringPtr)> taken);

}  // namespace bulkhead
