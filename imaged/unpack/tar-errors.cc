// SPDX-License-Identifier: Apache-2.0
#include "imaged/unpack/tar-errors.h"

#include "services/runtime/failure.h"

namespace bulkhead {

kj::String TarErrors::describe(kj::StringPtr why) const {
  return current.size() == 0 ? kj::str("entry ", entries + 1, ": ", why)
                             : kj::str(printable(current, 256), ": ", why);
}

void TarErrors::reject(kj::StringPtr why) const {
  fail(FailureCode::INVALID, subject, describe(why));
}

void TarErrors::unsupported(kj::StringPtr why) const {
  fail(FailureCode::UNSUPPORTED, subject, describe(why));
}

}  // namespace bulkhead
