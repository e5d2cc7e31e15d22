// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdio.h>
#include <stdlib.h>

#include <kj/exception.h>

#include "services/runtime/failure.h"

namespace bulkhead::fuzz {

// Does `parse`. Bad input may end with a typed failure and with nothing else: whatever carries no
// code of its own is a defect, and ends the run.
template <typename Parse>
void expectTypedFailure(Parse&& parse) {
  try {
    parse();
  } catch (const kj::Exception& e) {
    auto failure = failureOf(e);
    if (failure.code != FailureCode::INTERNAL) return;
    fprintf(stderr, "not a typed failure: %s\n", failure.describe().cStr());
    abort();
  }
}

}  // namespace bulkhead::fuzz
