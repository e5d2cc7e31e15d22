// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>

#include <kj/array.h>
#include <kj/common.h>
#include <kj/string.h>

using EVP_MD_CTX = struct evp_md_ctx_st;  // as in openssl/types.h

namespace bulkhead {

enum class DigestAlgorithm : uint8_t { sha256, sha512 };

// The name of some bytes: their SHA-256 or SHA-512. OCI image specification, "Digests"; other
// algorithms are known and not served.
class Digest {
 public:
  static constexpr size_t kMostBytes = 64;

  // Exactly "sha256:" and 64 lower-case hexadecimal digits, or "sha512:" and 128. `subject` is what
  // the digest was given for. Fails with `invalid`, or `unsupported` for another registered
  // algorithm.
  static Digest parse(kj::StringPtr text, kj::StringPtr subject);

  // The same, for text that may be something else.
  static kj::Maybe<Digest> tryParse(kj::StringPtr text);

  // From the 32 or 64 bytes themselves. Throws for any other length.
  static Digest fromBytes(kj::ArrayPtr<const kj::byte> bytes);

  // Of these bytes.
  static Digest of(kj::ArrayPtr<const kj::byte> data,
                   DigestAlgorithm algorithm = DigestAlgorithm::sha256);

  // Whether this is the digest of these bytes.
  bool names(kj::ArrayPtr<const kj::byte> data) const { return of(data, kind) == *this; }

  DigestAlgorithm algorithm() const { return kind; }

  // "sha256"
  kj::StringPtr algorithmName() const;

  kj::ArrayPtr<const kj::byte> bytes() const {
    return kj::arrayPtr(value, kind == DigestAlgorithm::sha256 ? 32 : 64);
  }

  // 64 or 128 digits, safe as a file name; the algorithm is told by their number.
  kj::String hex() const;

  // "sha256:" and the digits.
  kj::String toString() const;

  bool operator==(const Digest& other) const { return bytes() == other.bytes(); }

 private:
  DigestAlgorithm kind = DigestAlgorithm::sha256;
  kj::byte value[kMostBytes] = {};
};

inline kj::String KJ_STRINGIFY(const Digest& digest) { return digest.toString(); }

// A digest in the making.
class Hash {
 public:
  explicit Hash(DigestAlgorithm algorithm = DigestAlgorithm::sha256);
  ~Hash();
  KJ_DISALLOW_COPY_AND_MOVE(Hash);

  void update(kj::ArrayPtr<const kj::byte> data);

  // Of all bytes so far. The object starts over afterwards.
  Digest finish();

  // Forgets the bytes so far.
  void reset();

  // OpenSSL reads its configuration with the first digest: to be called before the sandbox.
  static void prepare();

 private:
  DigestAlgorithm algorithm;
  EVP_MD_CTX* context;
};

// Where the algorithm is ours to choose.
class Sha256 : public Hash {
 public:
  Sha256() : Hash(DigestAlgorithm::sha256) {}
};

}  // namespace bulkhead
