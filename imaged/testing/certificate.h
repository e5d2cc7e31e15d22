// SPDX-License-Identifier: Apache-2.0
// For tests: a certificate that signs itself.
#pragma once

#include <kj/string.h>

namespace bulkhead::testing {

struct TestCertificate {
  kj::String certificate;  // PEM
  kj::String key;          // PEM

  // Valid for an hour, for this DNS name.
  static TestCertificate make(kj::StringPtr host);
};

}  // namespace bulkhead::testing
