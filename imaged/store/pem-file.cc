// SPDX-License-Identifier: Apache-2.0
#include "imaged/store/pem-file.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <kj/debug.h>

#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

// OpenSSL would ask at the terminal.
int noPassphrase(char*, int, int, void*) { return -1; }

struct Memory {
  explicit Memory(kj::StringPtr text)
      : bio(BIO_new_mem_buf(text.begin(), static_cast<int>(text.size()))) {
    KJ_REQUIRE(bio != nullptr, "no memory for a certificate");
  }
  ~Memory() { BIO_free(bio); }
  KJ_DISALLOW_COPY_AND_MOVE(Memory);
  BIO* bio;
};

X509* firstCertificate(kj::StringPtr pem) {
  Memory memory(pem);
  X509* certificate = PEM_read_bio_X509(memory.bio, nullptr, noPassphrase, nullptr);
  ERR_clear_error();
  return certificate;
}

}  // namespace

void requireCertificates(kj::StringPtr pem, kj::StringPtr path) {
  X509* certificate = firstCertificate(pem);
  if (certificate == nullptr) {
    fail(FailureCode::INVALID, path, kj::str(path, " holds no certificate in PEM"),
         "a file with -----BEGIN CERTIFICATE----- in it");
  }
  X509_free(certificate);
}

void requireKeyOf(kj::StringPtr certificatePem, kj::StringPtr keyPem, kj::StringPtr path) {
  Memory memory(keyPem);
  EVP_PKEY* key = PEM_read_bio_PrivateKey(memory.bio, nullptr, noPassphrase, nullptr);
  ERR_clear_error();
  if (key == nullptr) {
    fail(FailureCode::INVALID, path, kj::str(path, " holds no private key in PEM"),
         "a file with -----BEGIN PRIVATE KEY----- in it, without a passphrase");
  }
  KJ_DEFER(EVP_PKEY_free(key));
  X509* certificate = firstCertificate(certificatePem);
  KJ_DEFER(X509_free(certificate));
  bool matches = certificate != nullptr && X509_check_private_key(certificate, key) == 1;
  ERR_clear_error();
  if (!matches) {
    fail(FailureCode::INVALID, path,
         kj::str("the key in ", path, " is not the client certificate's"));
  }
}

}  // namespace bulkhead
