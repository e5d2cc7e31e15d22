// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/array.h>
#include <kj/string.h>

namespace bulkhead::zone {

// What the agent's program is called when it is to move files. It then runs inside a container, as
// an exec there does, and nothing it is led to is the zone's own:
//
//   bulkhead-files put DIRECTORY    unpacks the tar archive on standard input
//   bulkhead-files get PATH         packs to standard output
constexpr kj::StringPtr kFilesProgram = "bulkhead-files"_kj;

// Runs it; returns its exit code. A failure is one line on standard error
// (services/tar/failure-line.h).
int filesMain(kj::ArrayPtr<const char* const> arguments);

}  // namespace bulkhead::zone
