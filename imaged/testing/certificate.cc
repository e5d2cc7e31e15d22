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

}  // namespace

TestCertificate TestCertificate::make(kj::StringPtr host) {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  KJ_REQUIRE(key != nullptr);
  KJ_DEFER(EVP_PKEY_free(key));
  X509* certificate = X509_new();
  KJ_DEFER(X509_free(certificate));
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
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

}  // namespace bulkhead::testing
