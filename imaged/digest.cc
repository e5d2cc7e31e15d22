// SPDX-License-Identifier: Apache-2.0
#include "imaged/digest.h"

#include <openssl/evp.h>
#include <string.h>

#include <span>

#include <kj/debug.h>
#include <kj/encoding.h>

#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

struct Known {
  DigestAlgorithm algorithm;
  kj::StringPtr name;
  size_t bytes;
};
constexpr Known kKnown[] = {{DigestAlgorithm::sha256, "sha256"_kj, 32},
                            {DigestAlgorithm::sha512, "sha512"_kj, 64}};

const EVP_MD* implementationOf(DigestAlgorithm algorithm) {
  return algorithm == DigestAlgorithm::sha256 ? EVP_sha256() : EVP_sha512();
}

kj::Maybe<kj::byte> nibble(char c) {
  if (c >= '0' && c <= '9') return static_cast<kj::byte>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<kj::byte>(c - 'a' + 10);
  return nullptr;
}

bool decode(kj::StringPtr digits, kj::ArrayPtr<kj::byte> out) {
  for (size_t i = 0; i < digits.size(); i += 2) {
    KJ_IF_MAYBE (high, nibble(digits[i])) {
      KJ_IF_MAYBE (low, nibble(digits[i + 1])) {
        out[i / 2] = static_cast<kj::byte>(*high << 4 | *low);
        continue;
      }
    }
    return false;
  }
  return true;
}

}  // namespace

kj::Maybe<Digest> Digest::tryParse(kj::StringPtr text) {
  for (const auto& known : kKnown) {
    size_t prefix = known.name.size();
    if (!text.startsWith(known.name) || text.size() != prefix + 1 + 2 * known.bytes) continue;
    if (text[prefix] != ':') continue;
    Digest result;
    result.kind = known.algorithm;
    if (decode(text.slice(prefix + 1), result.value)) return result;
  }
  return nullptr;
}

Digest Digest::parse(kj::StringPtr text, kj::StringPtr subject) {
  KJ_IF_MAYBE (digest, tryParse(text)) {
    return *digest;
  }
  if (text.startsWith("sha384:") || text.startsWith("blake3:")) {
    fail(FailureCode::UNSUPPORTED, subject,
         kj::str("digest algorithm of '", printable(text, 80), "' is not served"),
         "sha256 and sha512 are");
  }
  fail(FailureCode::INVALID, subject, kj::str("'", printable(text, 160), "' is not a digest"),
       "a digest is sha256: and 64, or sha512: and 128 lower-case hexadecimal digits");
}

Digest Digest::fromBytes(kj::ArrayPtr<const kj::byte> bytes) {
  for (const auto& known : kKnown) {
    if (known.bytes != bytes.size()) continue;
    Digest result;
    result.kind = known.algorithm;
    memcpy(result.value, bytes.begin(), bytes.size());
    return result;
  }
  KJ_FAIL_REQUIRE("a digest has 32 or 64 bytes", bytes.size());
}

Digest Digest::of(kj::ArrayPtr<const kj::byte> data, DigestAlgorithm algorithm) {
  Hash hash(algorithm);
  hash.update(data);
  return hash.finish();
}

kj::StringPtr Digest::algorithmName() const {
  return std::span(kKnown)[static_cast<size_t>(kind)].name;
}

kj::String Digest::hex() const { return kj::encodeHex(bytes()); }

kj::String Digest::toString() const { return kj::str(algorithmName(), ":", hex()); }

Hash::Hash(DigestAlgorithm algorithm) : algorithm(algorithm), context(EVP_MD_CTX_new()) {
  KJ_REQUIRE(context != nullptr, "no memory for a digest");
  reset();
}

Hash::~Hash() { EVP_MD_CTX_free(context); }

void Hash::update(kj::ArrayPtr<const kj::byte> data) {
  KJ_REQUIRE(EVP_DigestUpdate(context, data.begin(), data.size()) == 1, "OpenSSL cannot hash");
}

Digest Hash::finish() {
  kj::byte out[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  KJ_REQUIRE(EVP_DigestFinal_ex(context, out, &size) == 1, "OpenSSL cannot hash");
  auto digest = Digest::fromBytes(kj::arrayPtr(out, size));
  reset();
  return digest;
}

void Hash::reset() {
  KJ_REQUIRE(EVP_DigestInit_ex(context, implementationOf(algorithm), nullptr) == 1,
             "OpenSSL has no such digest");
}

void Hash::prepare() {
  for (const auto& known : kKnown) Digest::of(nullptr, known.algorithm);
}

}  // namespace bulkhead
