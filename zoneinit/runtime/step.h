// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <errno.h>

#include <cstdint>

#include <kj/string.h>

namespace bulkhead::zone {

// What a child does between its birth and its program, in that order. A failure names the step.
enum class Step : uint32_t {
  joinNamespaces,
  userNamespace,
  cgroupNamespace,
  privateMounts,
  rootMount,
  kernelMount,
  deviceMount,
  terminal,
  nameFiles,
  listedMount,
  systemSettings,
  maskPaths,
  pivotRoot,
  hostname,
  loopback,
  workingDirectory,
  standardStreams,
  memoryScore,
  limits,
  user,
  capabilities,
  appArmor,
  systemCallFilter,
  execute,
};

kj::StringPtr stepName(Step step);

// Thrown between the child's birth and its program. Needs no heap, and carries what the parent must
// know; `detail` points at text that outlives the child's set-up.
struct StepError {
  Step step;
  int error;
  const char* detail;
};

// Throws for a system call that returned a negative number.
template <typename T>
T must(Step step, T result, const char* detail) {
  if (result < 0) throw StepError{step, errno, detail};
  return result;
}

// The same for the parent.
struct StepReport {
  bool failed;
  Step step;
  int32_t error;
  char detail[248];
};

}  // namespace bulkhead::zone
