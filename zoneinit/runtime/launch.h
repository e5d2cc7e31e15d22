// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async-unix.h>
#include <kj/io.h>
#include <sys/types.h>

#include "zoneinit/runtime/child.h"
#include "zoneinit/runtime/set-up-report.h"

namespace bulkhead::zone {

// A started child: its number in the zone and its pidfd, and how its set-up goes.
struct Launched {
  pid_t number;
  kj::AutoCloseFd process;
  SetUpReport report;
};

// Starts a child in the given cgroup; `plan.report`, `plan.reportEnd` and `plan.go` are filled in
// here. Fails with `exhausted` where the kernel has no room for a process, with `busy` where the
// container to join is gone and with `invalid` where the kernel refuses the mappings of a user
// namespace.
Launched launch(ChildPlan plan, int cgroup);

// How the set-up went: resolves when the program runs, or fails with `commandNotFound`,
// `commandNotExecutable`, `invalid` (working directory) or `internal`, naming the step and the
// errno. `command` is what was asked for.
kj::Promise<void> setUpResult(kj::UnixEventPort& eventPort, SetUpReport report,
                              kj::StringPtr command);

}  // namespace bulkhead::zone
