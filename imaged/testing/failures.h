// SPDX-License-Identifier: Apache-2.0
// For tests: what something fails with.
#pragma once

#include <gtest/gtest.h>
#include <kj/exception.h>

#include "services/runtime/failure.h"

namespace bulkhead::testing {

// The failure `action` ends with; the test fails where it does not.
template <typename Action>
Failure failureFrom(Action&& action) {
  try {
    action();
  } catch (const kj::Exception& e) {
    return failureOf(e);
  }
  ADD_FAILURE() << "it did not fail";
  return failure(FailureCode::INTERNAL, "", "it did not fail");
}

// Whether an error says this.
inline bool says(const Failure& failure, const char* text) {
  return std::string(failure.describe().cStr()).find(text) != std::string::npos;
}

}  // namespace bulkhead::testing
