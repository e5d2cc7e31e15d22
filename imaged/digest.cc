// SPDX-License-Identifier: Apache-2.0
#include "imaged/digest.h"

#include <openssl/evp.h>
#include <string.h>

#include <kj/debug.h>
#include <kj/encoding.h>

#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

constexpr kj::StringPtr kPrefix = "sha256:"_kj;

kj::Maybe<kj::byte> nibble(char c) {
  if (c >= '0' && c <= '9') return static_cast<kj::byte>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<kj::byte>(c - 'a' + 10);
  return nullptr;
}

}  // namespace

kj::Maybe<Digest> Digest::tryParse(kj::StringPtr text) {
  if (!text.startsWith(kPrefix)) return nullptr;
  auto digits = text.slice(kPrefix.size());
  if (digits.size() != 2 * kBytes) return nullptr;
  Digest result;
  for (size_t i = 0; i < kBytes; ++i) {
    KJ_IF_MAYBE (high, nibble(digits[2 * i])) {
      KJ_IF_MAYBE (low, nibble(digits[2 * i + 1])) {
        result.value[i] = static_cast<kj::byte>(*high << 4 | *low);
        continue;
      }
    }
    return nullptr;
  }
  return result;
}

Digest Digest::parse(kj::StringPtr text, kj::StringPtr subject) {
  KJ_IF_MAYBE (digest, tryParse(text)) {
    return *digest;
  }
  if (text.startsWith("sha512:") || text.startsWith("sha384:") || text.startsWith("blake3:")) {
    fail(FailureCode::UNSUPPORTED, subject,
         kj::str("digest algorithm of '", printable(text, 80), "' is not served"),
         "only sha256 is");
  }
  fail(FailureCode::INVALID, subject, kj::str("'", printable(text, 80), "' is not a digest"),
       "a digest is sha256: and 64 lower-case hexadecimal digits");
}

Digest Digest::fromBytes(kj::ArrayPtr<const kj::byte> bytes) {
  KJ_REQUIRE(bytes.size() == kBytes, "a SHA-256 has 32 bytes", bytes.size());
  Digest result;
  memcpy(result.value, bytes.begin(), kBytes);
  return result;
}

Digest Digest::of(kj::ArrayPtr<const kj::byte> data) {
  Sha256 hash;
  hash.update(data);
  return hash.finish();
}

kj::String Digest::hex() const { return kj::encodeHex(bytes()); }

kj::String Digest::toString() const { return kj::str(kPrefix, hex()); }

Sha256::Sha256() : context(EVP_MD_CTX_new()) {
  KJ_REQUIRE(context != nullptr, "no memory for a digest");
  reset();
}

Sha256::~Sha256() { EVP_MD_CTX_free(context); }

void Sha256::update(kj::ArrayPtr<const kj::byte> data) {
  KJ_REQUIRE(EVP_DigestUpdate(context, data.begin(), data.size()) == 1, "OpenSSL cannot hash");
}

Digest Sha256::finish() {
  kj::byte out[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  KJ_REQUIRE(EVP_DigestFinal_ex(context, out, &size) == 1, "OpenSSL cannot hash");
  auto digest = Digest::fromBytes(kj::arrayPtr(out, size));
  reset();
  return digest;
}

void Sha256::reset() {
  KJ_REQUIRE(EVP_DigestInit_ex(context, EVP_sha256(), nullptr) == 1, "OpenSSL has no SHA-256");
}

void Sha256::prepare() { Digest::of(nullptr); }

}  // namespace bulkhead
