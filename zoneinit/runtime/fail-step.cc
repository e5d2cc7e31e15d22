// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/fail-step.h"

#include <errno.h>
#include <string.h>

#include "services/runtime/failure.h"

namespace bulkhead::zone {

void failStep(kj::StringPtr subject, kj::StringPtr step) {
  int error = errno;
  fail(FailureCode::INTERNAL, subject, kj::str(step, ": ", strerror(error)));
}

}  // namespace bulkhead::zone
