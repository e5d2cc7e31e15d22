// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "schemas/agent.capnp.h"
#include "zoneinit/runtime/process.h"
#include "zoneinit/runtime/standard-streams.h"

namespace bulkhead::zone {

// schemas/agent.capnp, Process. Holding it or not, the process lives its own life.
schema::Process::Client makeProcessServer(kj::Own<Process> process);

// What a caller of `start` or `exec` gave for the streams.
ProcessSinks readSinks(schema::Stdio::Reader stdio);
InputMode readInputMode(schema::Stdio::Reader stdio);

void fillExitStatus(schema::ExitStatus::Builder builder, const ExitStatus& status);

}  // namespace bulkhead::zone
