// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <kj/string.h>
#include <kj/time.h>

namespace bulkhead {

// A time as people give it, in nanoseconds since 1970: RFC 3339 ("2026-01-02T03:04:05Z",
// "2026-01-02T05:04:05.25+02:00"), or how long before `now` it was, of days, hours, minutes,
// seconds and milliseconds ("10m", "1h30m", "45s"). Fails with `invalid`, naming `option`.
uint64_t timeNanoseconds(kj::StringPtr text, uint64_t now, kj::StringPtr option);

// A span of time of the same units; a number alone is seconds. Fails likewise.
kj::Duration durationOf(kj::StringPtr text, kj::StringPtr option);

}  // namespace bulkhead
