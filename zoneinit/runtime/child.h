// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>

#include <kj/array.h>
#include <kj/common.h>

#include "zoneinit/runtime/container-mounts.h"
#include "zoneinit/runtime/spec.h"
#include "zoneinit/runtime/step.h"
#include "zoneinit/runtime/user-database.h"

namespace bulkhead::zone {

// What the first process of a container does besides: makes the container.
struct ContainerPlan {
  MountPlan mounts;
  const char* hostname;
  NetworkMode networkMode;
};

// What a further process does besides: joins the container.
struct JoinPlan {
  int process;  // pidfd of the container's first process
};

// Everything a child needs between its birth and its program, prepared by the parent so that the
// child only makes system calls. All of it is borrowed; the child has its own copy of the memory.
struct ChildPlan {
  kj::ArrayPtr<const char* const> arguments;    // ends with nullptr
  kj::ArrayPtr<const char* const> environment;  // ends with nullptr
  const char* searchPath;                       // value of PATH in `environment`
  kj::Maybe<int> program;                       // what is executed instead of arguments[0]
  const char* workingDirectory;
  const UserIdentity* user;
  CapabilityMask capabilities;
  std::array<int, 3> streams;  // standard input, output, error
  bool terminal;               // they are a terminal, which becomes the controlling one
  int report;                  // write end of the pipe for a StepReport
  kj::Maybe<ContainerPlan> container;
  kj::Maybe<JoinPlan> join;
};

// Runs in the child. Ends in the program, or in a report and exit code 127.
[[noreturn]] void runChild(const ChildPlan& plan);

}  // namespace bulkhead::zone
