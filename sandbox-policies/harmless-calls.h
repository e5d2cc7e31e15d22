// SPDX-License-Identifier: Apache-2.0
// For tests: arguments with which a system call can really be made and does no harm.
#pragma once

#include <kj/string.h>

#include "sandbox-policies/rule-calls.h"

namespace bulkhead {

// How a process goes on after the call, if the filter lets it pass.
enum class Aftermath {
  // The call returns, mostly with an error.
  returns,
  // The call ends the process with exit code 0.
  exits,
  // The call ends the process by SIGSEGV.
  faults,
};

struct HarmlessCall {
  Arguments arguments;
  Aftermath aftermath;
};

// The call to make for the system call of this name; the bits a clause compares are overwritten.
// Null where the table has none: whoever adds a rule for a new call adds its line here.
kj::Maybe<HarmlessCall> harmlessCall(kj::StringPtr syscall);

}  // namespace bulkhead
