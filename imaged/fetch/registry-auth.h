// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "imaged/fetch/auth-challenge.h"
#include "imaged/fetch/http-client.h"
#include "imaged/fetch/registry-endpoint.h"

namespace bulkhead {

// What one repository's requests say of us, and how that is had: HTTP Basic, or a bearer token by
// the Docker registry token specification, asked for with nothing, with user and password, or with
// an identity token (OAuth 2.0, RFC 6749, 6). A token is kept until it expires.
class RegistryAuth {
 public:
  // All are borrowed. `repository` is the name it has at that registry.
  RegistryAuth(HttpClient& http, kj::Timer& timer, const RegistryEndpoint& endpoint,
               kj::StringPtr repository);
  KJ_DISALLOW_COPY_AND_MOVE(RegistryAuth);

  // The Authorization header's value; none where there is none that still holds.
  kj::Maybe<Secret> header();

  // Which header() the last one was: to be passed to `answer`.
  uint64_t generation() const { return number; }

  // The registry answered 401 to a request of that generation. Resolves when header() has something
  // new; several requests may be answered at once by one token. Fails with `unauthenticated` where
  // nothing can be done, `denied` where the challenge leads to where no secret goes.
  kj::Promise<void> answer(const HttpResponse& response, uint64_t generation,
                           kj::StringPtr subject);

  // Ends with what a final 401 or 403 means.
  [[noreturn]] void refuse(long status, kj::StringPtr subject) const;

 private:
  HttpClient& http;
  kj::Timer& timer;
  const RegistryEndpoint& endpoint;
  kj::StringPtr repository;
  kj::Maybe<Secret> value;
  kj::Maybe<kj::TimePoint> expiry;
  uint64_t number = 0;
  kj::Maybe<kj::ForkedPromise<void>> underWay;

  kj::Promise<void> fetchToken(AuthChallenge challenge, kj::String subject);
  HttpRequest tokenRequest(const AuthChallenge& challenge, const UrlParts& parts,
                           kj::StringPtr subject);
  void take(kj::ArrayPtr<const kj::byte> answer, kj::StringPtr subject);
  void set(kj::String header, kj::Maybe<kj::TimePoint> until);
};

}  // namespace bulkhead
