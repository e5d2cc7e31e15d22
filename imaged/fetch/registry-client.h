// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "imaged/digest.h"
#include "imaged/documents.h"
#include "imaged/fetch/auth-challenge.h"
#include "imaged/fetch/http-client.h"
#include "services/runtime/progress.h"

namespace bulkhead {

// One repository of one registry, by the OCI distribution specification. Follows redirects itself,
// one at a time; credentials and tokens never leave the host they are for.
class RegistryClient {
 public:
  // `registry` is copied. Fails with `invalid` or `denied` where it asks for plain HTTP in a way
  // that is not allowed.
  RegistryClient(HttpClient& http, kj::Timer& timer, schema::Registry::Reader registry,
                 kj::StringPtr repository);

  // One document, at most `most` bytes. `path` is what follows /v2/REPOSITORY/, already checked.
  struct Answer {
    kj::Array<kj::byte> body;
    kj::String contentType;
    kj::String contentDigest;
  };
  kj::Promise<Answer> getDocument(kj::String path, kj::String accept, size_t most,
                                  kj::String subject);

  // Streams one blob into `fd` from offset 0 and returns its digest once exactly `size` bytes have
  // come. A connection that was cut is resumed.
  kj::Promise<Digest> getBlob(Digest digest, uint64_t size, int fd, Progress& progress);

 private:
  HttpClient& http;
  kj::Timer& timer;
  kj::String host;
  kj::String origin;  // "https://registry-1.docker.io"
  UrlParts originParts;
  kj::String loopbackHost;
  kj::String repository;
  kj::Maybe<Secret> user;           // "user:password"
  kj::Maybe<Secret> authorization;  // what the last challenge asked for, to this origin only

  struct Wanted;
  kj::Promise<HttpResponse> getWithRetries(Wanted& wanted);
  kj::Promise<kj::OneOf<HttpResponse, HttpProblem>> getFollowing(Wanted& wanted);
  kj::Promise<void> answerChallenge(const HttpResponse& response, kj::StringPtr subject);
  kj::Promise<void> fetchToken(const AuthChallenge& challenge, kj::StringPtr subject);
  [[noreturn]] void failStatus(const HttpResponse& response, kj::StringPtr subject);
  bool plainHttpAllowed(const UrlParts& parts) const;
  kj::String loopbackFor(const UrlParts& parts) const;
};

}  // namespace bulkhead
