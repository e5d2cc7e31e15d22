// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>

#include <kj/array.h>
#include <kj/common.h>
#include <kj/string.h>

using EVP_MD_CTX = struct evp_md_ctx_st;  // as in openssl/types.h

namespace bulkhead {

// The name of some bytes: their SHA-256. OCI image specification, "Digests"; other algorithms are
// known and not served.
class Digest {
 public:
  static constexpr size_t kBytes = 32;

  // Exactly "sha256:" and 64 lower-case hexadecimal digits. `subject` is what the digest was given
  // for. Fails with `invalid`, or `unsupported` for another registered algorithm.
  static Digest parse(kj::StringPtr text, kj::StringPtr subject);

  // The same, for text that may be something else.
  static kj::Maybe<Digest> tryParse(kj::StringPtr text);

  // From the 32 bytes themselves. Throws for any other length.
  static Digest fromBytes(kj::ArrayPtr<const kj::byte> bytes);

  // Of these bytes.
  static Digest of(kj::ArrayPtr<const kj::byte> data);

  kj::ArrayPtr<const kj::byte> bytes() const { return value; }

  // 64 digits, safe as a file name.
  kj::String hex() const;

  // "sha256:" and the digits.
  kj::String toString() const;

  bool operator==(const Digest& other) const { return bytes() == other.bytes(); }

 private:
  kj::byte value[kBytes] = {};
};

inline kj::String KJ_STRINGIFY(const Digest& digest) { return digest.toString(); }

// A digest in the making.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  KJ_DISALLOW_COPY_AND_MOVE(Sha256);

  void update(kj::ArrayPtr<const kj::byte> data);

  // Of all bytes so far. The object starts over afterwards.
  Digest finish();

  // Forgets the bytes so far.
  void reset();

  // OpenSSL reads its configuration with the first digest: to be called before the sandbox.
  static void prepare();

 private:
  EVP_MD_CTX* context;
};

}  // namespace bulkhead
