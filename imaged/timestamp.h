// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>

#include <kj/common.h>
#include <kj/string.h>

namespace bulkhead {

// Seconds since 1970 of an RFC 3339 date and time; the fraction is dropped. None where the text is
// not one.
kj::Maybe<int64_t> parseTimestamp(kj::StringPtr text);

}  // namespace bulkhead
