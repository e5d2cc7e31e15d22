// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/string.h>

namespace bulkhead {

// The completion script for bash.
extern const kj::StringPtr kBashCompletion;

}  // namespace bulkhead
