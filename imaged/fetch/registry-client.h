// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "imaged/fetch/blob-download.h"
#include "imaged/fetch/http-client.h"
#include "imaged/fetch/registry-auth.h"
#include "imaged/fetch/registry-endpoint.h"
#include "imaged/fetch/retry.h"

namespace bulkhead {

// One repository at one registry, by the OCI distribution specification. Follows redirects itself,
// one at a time; credentials and tokens never leave the host they are for.
class RegistryClient {
 public:
  // `http`, `timer` and `systemCertificates` are borrowed, `registry` is copied. Fails with
  // `invalid` where it is not well formed.
  RegistryClient(HttpClient& http, kj::Timer& timer, schema::Registry::Reader registry,
                 kj::StringPtr repository, kj::ArrayPtr<const kj::byte> systemCertificates);
  KJ_DISALLOW_COPY_AND_MOVE(RegistryClient);

  // "mirror.example:5000"
  kj::StringPtr host() const { return endpoint.host(); }

  // One document, at most `most` bytes. `path` is what follows /v2/REPOSITORY/, already checked.
  struct Answer {
    kj::Array<kj::byte> body;
    kj::String contentType;
    kj::String contentDigest;
  };
  kj::Promise<Answer> getDocument(kj::StringPtr path, kj::StringPtr accept, size_t most,
                                  kj::StringPtr subject);

  // Whether we are given that blob: succeeds, or fails as getBlob would.
  kj::Promise<void> requireBlob(Digest digest);

  // Until the blob is complete. A connection that was cut is resumed.
  kj::Promise<void> getBlob(BlobDownload& blob);

 private:
  HttpClient& http;
  kj::Timer& timer;
  RegistryEndpoint endpoint;
  kj::String repository;
  RegistryAuth auth;

  struct Wanted;
  kj::Promise<HttpResponse> getWithRetries(Wanted& wanted, Retry& retry);
  kj::Promise<HttpOutcome> getFollowing(Wanted& wanted, Retry& retry);
  kj::Promise<HttpOutcome> getOnce(Wanted& wanted, kj::StringPtr url, Retry& retry);
  [[noreturn]] void failStatus(const HttpResponse& response, kj::StringPtr subject);
};

}  // namespace bulkhead
