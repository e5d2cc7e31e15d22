// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/array.h>
#include <kj/common.h>
#include <kj/string.h>

#include "imaged/digest.h"

using EVP_PKEY = struct evp_pkey_st;  // as in openssl/types.h

namespace bulkhead {

// Somebody's key to check signatures by: ECDSA on P-256 with SHA-256, or Ed25519, which are what
// cosign makes.
class PublicKey {
 public:
  // From PEM ("-----BEGIN PUBLIC KEY-----"). Fails with `invalid`; `subject` says where the text is
  // from.
  static PublicKey parse(kj::ArrayPtr<const kj::byte> pem, kj::StringPtr subject);

  PublicKey(PublicKey&& other) noexcept;
  ~PublicKey();
  KJ_DISALLOW_COPY(PublicKey);

  // Whether its owner signed these bytes. An ECDSA signature is ASN.1 (RFC 3279, 2.2.3), an Ed25519
  // signature its 64 bytes.
  bool verify(kj::ArrayPtr<const kj::byte> bytes, kj::ArrayPtr<const kj::byte> signature) const;

  // Its name: the SHA-256 of its SubjectPublicKeyInfo.
  Digest fingerprint() const;

 private:
  explicit PublicKey(EVP_PKEY* key) : key(key) {}
  EVP_PKEY* key;
};

}  // namespace bulkhead
