// SPDX-License-Identifier: Apache-2.0
#include "imaged/public-key.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <utility>

#include <kj/debug.h>

#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

constexpr size_t kMostPem = 16u << 10;

bool isServed(EVP_PKEY* key) {
  if (EVP_PKEY_is_a(key, "ED25519") == 1) return true;
  if (EVP_PKEY_is_a(key, "EC") != 1) return false;
  char group[64] = {};
  size_t length = 0;
  return EVP_PKEY_get_group_name(key, group, sizeof group, &length) == 1 &&
         kj::StringPtr(group) == "prime256v1";
}

}  // namespace

PublicKey PublicKey::parse(kj::ArrayPtr<const kj::byte> pem, kj::StringPtr subject) {
  if (pem.size() > kMostPem)
    fail(FailureCode::INVALID, subject, "a public key is no larger than 16 KiB");
  BIO* memory = BIO_new_mem_buf(pem.begin(), static_cast<int>(pem.size()));
  KJ_REQUIRE(memory != nullptr, "no memory for a key");
  KJ_DEFER(BIO_free(memory));
  EVP_PKEY* key = PEM_read_bio_PUBKEY(memory, nullptr, nullptr, nullptr);
  ERR_clear_error();
  if (key == nullptr) {
    fail(FailureCode::INVALID, subject, "it holds no public key in PEM",
         "a file that begins with -----BEGIN PUBLIC KEY-----");
  }
  PublicKey result(key);
  if (!isServed(key)) {
    fail(FailureCode::INVALID, subject, "the public key is of a kind that is not served",
         "ECDSA on P-256 and Ed25519 are");
  }
  return result;
}

PublicKey::PublicKey(PublicKey&& other) noexcept : key(std::exchange(other.key, nullptr)) {}

PublicKey::~PublicKey() { EVP_PKEY_free(key); }

bool PublicKey::verify(kj::ArrayPtr<const kj::byte> bytes,
                       kj::ArrayPtr<const kj::byte> signature) const {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  KJ_REQUIRE(context != nullptr, "no memory for a signature");
  KJ_DEFER(EVP_MD_CTX_free(context));
  // Ed25519 hashes by itself.
  const EVP_MD* hash = EVP_PKEY_is_a(key, "ED25519") == 1 ? nullptr : EVP_sha256();
  KJ_REQUIRE(EVP_DigestVerifyInit(context, nullptr, hash, nullptr, key) == 1,
             "OpenSSL cannot check signatures");
  int good =
      EVP_DigestVerify(context, signature.begin(), signature.size(), bytes.begin(), bytes.size());
  ERR_clear_error();
  return good == 1;
}

Digest PublicKey::fingerprint() const {
  unsigned char* der = nullptr;
  int size = i2d_PUBKEY(key, &der);
  KJ_REQUIRE(size > 0, "OpenSSL cannot write a key");
  KJ_DEFER(OPENSSL_free(der));
  return Digest::of(kj::arrayPtr(der, static_cast<size_t>(size)));
}

}  // namespace bulkhead
