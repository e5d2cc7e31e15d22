// SPDX-License-Identifier: Apache-2.0
// A checked policy, made into a filter program and into C++ source.
#pragma once

#include "sandbox-policies/policy.h"

#include <linux/filter.h>

namespace bulkhead::policy {

// What happens to a call that no rule names.
enum class DefaultAction {
  // The process ends at once; no handler runs.
  killProcess,
  // SIGSYS, so that the crash guard can print the number of the call. For developers' builds only.
  trap,
};

// The filter for x86-64. Calls of any other architecture, x32 included, end the process whatever
// `action` is. Throws kj::Exception where libseccomp fails.
kj::Array<sock_filter> buildProgram(const Policy& policy, DefaultAction action);

// The identifier of a process's policy in C++: "imaged-fetch" gives "imaged_fetch_policy".
kj::String identifierFor(kj::StringPtr process);

// The text of PROCESS-policy.h: the declaration of `bulkhead::PROCESS_policy`.
kj::String headerText(kj::StringPtr process);

// The text of PROCESS-policy.cc: program and rule table as constants.
kj::String sourceText(kj::StringPtr process, const Policy& policy,
                      kj::ArrayPtr<const sock_filter> program);

}  // namespace bulkhead::policy
