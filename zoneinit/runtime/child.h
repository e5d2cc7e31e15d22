// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <array>

#include <kj/array.h>
#include <kj/common.h>

#include "zoneinit/runtime/container-mounts.h"
#include "zoneinit/runtime/spec.h"
#include "zoneinit/runtime/step.h"
#include "zoneinit/runtime/syscall-filter.h"
#include "zoneinit/runtime/user-database.h"

namespace bulkhead::zone {

// Namespaces of another process that a child enters.
struct NamespaceJoin {
  int process;     // pidfd
  int namespaces;  // CLONE_NEW*, without that of processes, which is chosen at birth
};

// What the first process of a container does besides: makes the container.
struct ContainerPlan {
  MountPlan mounts;
  const char* hostname;    // nullptr: it keeps the one it is born with
  const char* domainName;  // "": likewise
  uint64_t fresh;          // CLONE_NEW* it is to have as its own
  kj::ArrayPtr<const NamespaceJoin> joined;
  int users;  // pidfd of the process whose user namespace it enters in the end, or -1
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
  CapabilityMask ambient;
  Privileges privileges;
  kj::ArrayPtr<const ResourceLimit> limits;
  mode_t umask;
  const char* oomScoreAdjust;                      // as the kernel reads it
  const char* appArmorProfile;                     // "": none
  kj::Maybe<const SystemCallFilter&> systemCalls;  // none: no filter
  std::array<int, 3> streams;                      // standard input, output, error
  bool terminal;       // they are a terminal, which becomes the controlling one
  StepReport* report;  // what the parent sees, with
  int reportEnd;       // the end of a pipe that is closed when it is final
  int go;              // read end of a pipe, or -1: wait for its end before all else
  int birth;           // pidfd of the process in whose process namespace it is born, or -1
  kj::Maybe<ContainerPlan> container;
  kj::Maybe<NamespaceJoin> join;  // of the container's first process
};

// Lets a process's hard limits go up to these, as far as the kernel allows: what it does not allow
// is found out when they are set. 0: the caller's.
void raiseLimits(pid_t process, kj::ArrayPtr<const ResourceLimit> limits);

// Runs in the child. Ends in the program, or in a report and exit code 127.
[[noreturn]] void runChild(const ChildPlan& plan);

}  // namespace bulkhead::zone
