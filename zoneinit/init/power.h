// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace bulkhead::init {

enum class ZoneEnd { powerOff, reboot };

// Kills every process, writes back what is written, and ends the zone.
[[noreturn]] void endZone(ZoneEnd end);

}  // namespace bulkhead::init
