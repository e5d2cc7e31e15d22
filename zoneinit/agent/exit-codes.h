// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace bulkhead::zone {

// What the agent's exit code asks of /init. Any other, and any signal, means: start it again.
constexpr int kExitPowerOff = 100;
constexpr int kExitReboot = 101;

}  // namespace bulkhead::zone
