// SPDX-License-Identifier: Apache-2.0
#include "imaged/testing/certificate.h"

#include <kj/debug.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

namespace bulkhead::testing {
namespace {

template <typename Write>
kj::String pem(Write&& write) {
  BIO* memory = BIO_new(BIO_s_mem());
  KJ_DEFER(BIO_free(memory));
  KJ_REQUIRE(write(memory) == 1);
  char* text = nullptr;
  long size = BIO_get_mem_data(memory, &text);
  return kj::heapString(text, static_cast<size_t>(size));
}

void extend(X509* certificate, int kind, kj::StringPtr value) {
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, kind, value.cStr());
  KJ_REQUIRE(extension != nullptr, value);
  KJ_DEFER(X509_EXTENSION_free(extension));
  KJ_REQUIRE(X509_add_ext(certificate, extension, -1) == 1);
}

TestCertificate certificateFor(kj::StringPtr host, long fromSeconds, long untilSeconds) {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  KJ_REQUIRE(key != nullptr);
  KJ_DEFER(EVP_PKEY_free(key));
  X509* certificate = X509_new();
  KJ_DEFER(X509_free(certificate));
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), fromSeconds);
  X509_gmtime_adj(X509_getm_notAfter(certificate), untilSeconds);
  X509_set_pubkey(certificate, key);
  X509_NAME* name = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(host.cStr()), -1, -1, 0);
  X509_set_issuer_name(certificate, name);
  extend(certificate, NID_basic_constraints, "critical,CA:TRUE");
  extend(certificate, NID_subject_alt_name, kj::str("DNS:", host));
  KJ_REQUIRE(X509_sign(certificate, key, EVP_sha256()) > 0);
  return {pem([&](BIO* out) { return PEM_write_bio_X509(out, certificate); }), pem([&](BIO* out) {
            return PEM_write_bio_PrivateKey(out, key, nullptr, nullptr, 0, nullptr, nullptr);
          })};
}

EVP_PKEY* generate(SigningKey::Kind kind) {
  switch (kind) {
    case SigningKey::Kind::p256:
      return EVP_EC_gen("P-256");
    case SigningKey::Kind::p384:
      return EVP_EC_gen("P-384");
    case SigningKey::Kind::ed25519:
      return EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
  }
  return nullptr;
}

}  // namespace

TestCertificate TestCertificate::make(kj::StringPtr host) {
  return certificateFor(host, -60, 3600);
}

TestCertificate TestCertificate::expired(kj::StringPtr host) {
  return certificateFor(host, -7200, -3600);
}

SigningKey SigningKey::make(Kind kind) {
  EVP_PKEY* key = generate(kind);
  KJ_REQUIRE(key != nullptr);
  KJ_DEFER(EVP_PKEY_free(key));
  return {pem([&](BIO* out) {
            return PEM_write_bio_PrivateKey(out, key, nullptr, nullptr, 0, nullptr, nullptr);
          }),
          pem([&](BIO* out) { return PEM_write_bio_PUBKEY(out, key); })};
}

kj::Array<kj::byte> SigningKey::sign(kj::ArrayPtr<const kj::byte> bytes) const {
  BIO* memory = BIO_new_mem_buf(secret.begin(), static_cast<int>(secret.size()));
  KJ_DEFER(BIO_free(memory));
  EVP_PKEY* key = PEM_read_bio_PrivateKey(memory, nullptr, nullptr, nullptr);
  KJ_DEFER(EVP_PKEY_free(key));
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  KJ_DEFER(EVP_MD_CTX_free(context));
  const EVP_MD* hash = EVP_PKEY_is_a(key, "ED25519") == 1 ? nullptr : EVP_sha256();
  KJ_REQUIRE(EVP_DigestSignInit(context, nullptr, hash, nullptr, key) == 1);
  kj::byte out[256];
  size_t size = sizeof out;
  KJ_REQUIRE(EVP_DigestSign(context, out, &size, bytes.begin(), bytes.size()) == 1);
  return kj::heapArray<kj::byte>(out, size);
}

}  // namespace bulkhead::testing
