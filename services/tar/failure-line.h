// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "services/runtime/failure.h"

namespace bulkhead {

// A failure as one line of text, for a process that packs or unpacks and tells how it went through
// a pipe.
kj::String encodeFailureLine(const Failure& failure);

// Back again. Whoever wrote the line may be a stranger: what is no such line becomes `internal`,
// and all texts are printable.
Failure decodeFailureLine(kj::ArrayPtr<const char> line);

}  // namespace bulkhead
