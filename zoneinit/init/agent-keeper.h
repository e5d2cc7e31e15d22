// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace bulkhead::init {

// Starts the agent, starts it again whenever it dies, and reaps every orphan of the zone, until the
// agent asks for the zone's end (zoneinit/agent/exit-codes.h). SIGTERM, SIGINT and SIGPWR ask the
// agent to end.
[[noreturn]] void keepAgent(char** environment);

}  // namespace bulkhead::init
