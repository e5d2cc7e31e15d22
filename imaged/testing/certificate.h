// SPDX-License-Identifier: Apache-2.0
// For tests: certificates that sign themselves, and keys.
#pragma once

#include <kj/array.h>
#include <kj/string.h>

namespace bulkhead::testing {

struct TestCertificate {
  kj::String certificate;  // PEM
  kj::String key;          // PEM

  // Valid for an hour, for this DNS name.
  static TestCertificate make(kj::StringPtr host);

  // The same, until an hour ago.
  static TestCertificate expired(kj::StringPtr host);
};

// A key pair that signs.
struct SigningKey {
  kj::String secret;  // PEM
  kj::String open;    // PEM, the public half

  enum class Kind { p256, p384, ed25519 };
  static SigningKey make(Kind kind);

  // As cosign does: ECDSA over SHA-256 in ASN.1, or Ed25519.
  kj::Array<kj::byte> sign(kj::ArrayPtr<const kj::byte> bytes) const;
};

}  // namespace bulkhead::testing
