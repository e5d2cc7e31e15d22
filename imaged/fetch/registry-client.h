// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "imaged/digest.h"
#include "imaged/fetch/http-client.h"
#include "imaged/fetch/registry-auth.h"
#include "imaged/fetch/registry-endpoint.h"
#include "imaged/fetch/retry.h"
#include "services/runtime/progress.h"

namespace bulkhead {

// A blob on its way into a file: what has come and what it hashes to. It survives connections, and
// may begin at one registry and end at another.
class BlobDownload {
 public:
  // Writes from offset 0 on. `fd` and `progress` are borrowed.
  BlobDownload(Digest digest, uint64_t size, int fd, Progress& progress);

  const Digest& digest() const { return expected; }
  uint64_t size() const { return total; }

  // The first byte that is still missing.
  uint64_t position() const { return next; }

  // A further answer begins: one of status 200 brings everything again.
  void beginAnswer() { fresh = true; }

  // Fails with `digestMismatch` where there are more bytes than announced, or `exhausted`.
  void take(long status, kj::ArrayPtr<const kj::byte> bytes);

  // Whether all of it is there and is what was asked for. Fails with `digestMismatch` where that
  // cannot become true any more. Otherwise it starts over: what came in pieces may have come from
  // two different wholes.
  bool complete();

 private:
  Digest expected;
  uint64_t total;
  int fd;
  Progress& progress;
  kj::String subject;
  Hash hash;
  uint64_t next = 0;
  bool fresh = true;
  uint answers = 0;
  enum class Restart { possible, used } restart = Restart::possible;
};

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
