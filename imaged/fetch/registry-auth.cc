// SPDX-License-Identifier: Apache-2.0
#include "imaged/fetch/registry-auth.h"

#include <kj/debug.h>

#include "imaged/fetch/address-policy.h"
#include "imaged/fetch/retry.h"
#include "imaged/json.h"

namespace bulkhead {
namespace {

constexpr size_t kMostToken = 64u << 10;
constexpr auto kTokenDeadline = 60 * kj::SECONDS;
// The token specification: one that says nothing lives for a minute, and none lives shorter.
constexpr uint64_t kLeastSeconds = 60;
constexpr uint64_t kMostSeconds = 3600;
// A token that ends while the request is on its way is none.
constexpr auto kMargin = 5 * kj::SECONDS;
constexpr kj::StringPtr kClient = "bulkhead-imaged"_kj;

}  // namespace

RegistryAuth::RegistryAuth(HttpClient& http, kj::Timer& timer, const RegistryEndpoint& endpoint,
                           kj::StringPtr repository)
    : http(http), timer(timer), endpoint(endpoint), repository(repository) {
  if (endpoint.credentials().is<RegistryEndpoint::RegistryToken>()) {
    const auto& token = endpoint.credentials().get<RegistryEndpoint::RegistryToken>().token;
    set(kj::str("Bearer ", token.reveal()), nullptr);
  }
}

void RegistryAuth::set(kj::String header, kj::Maybe<kj::TimePoint> until) {
  value.emplace(kj::mv(header));
  expiry = until;
  ++number;
}

kj::Maybe<Secret> RegistryAuth::header() {
  KJ_IF_MAYBE (end, expiry) {
    if (timer.now() >= *end) {
      value = nullptr;
      expiry = nullptr;
    }
  }
  KJ_IF_MAYBE (known, value) {
    return Secret(kj::str(known->reveal()));
  }
  return nullptr;
}

void RegistryAuth::refuse(long status, kj::StringPtr subject) const {
  kj::StringPtr hint;
  if (endpoint.credentials().is<RegistryEndpoint::None>()) {
    hint = "give credentials, or check the name: registries hide what is missing"_kj;
  } else if (endpoint.credentials().is<RegistryEndpoint::Password>()) {
    hint = "check user and password"_kj;
  } else {
    hint = "the token may have expired, or not be good for this repository"_kj;
  }
  fail(FailureCode::UNAUTHENTICATED, subject,
       kj::str("the registry ", endpoint.originParts().authority(), " does not let us (status ",
               status, ")"),
       hint);
}

kj::Promise<void> RegistryAuth::answer(const HttpResponse& response, uint64_t generation,
                                       kj::StringPtr subject) {
  // Somebody else has done it while this request was under way.
  if (generation != number && value != nullptr) return kj::READY_NOW;
  KJ_IF_MAYBE (fork, underWay) {
    return fork->addBranch();
  }
  // A registry token is all we have, and the registry does not take it.
  const auto& credentials = endpoint.credentials();
  if (credentials.is<RegistryEndpoint::RegistryToken>()) refuse(response.status, subject);
  for (const auto& header : response.challenges) {
    auto parsed = parseChallenges(header);
    KJ_IF_MAYBE (challenges, parsed) {
      for (auto& challenge : *challenges) {
        if (challenge.scheme == "bearer") {
          auto fork = fetchToken(kj::mv(challenge), kj::str(subject)).fork();
          auto branch = fork.addBranch();
          underWay = kj::mv(fork);
          return branch.attach(kj::defer([this]() { underWay = nullptr; }));
        }
        if (challenge.scheme == "basic" && credentials.is<RegistryEndpoint::Password>()) {
          set(credentials.get<RegistryEndpoint::Password>().basic(), nullptr);
          return kj::READY_NOW;
        }
      }
    }
  }
  refuse(response.status, subject);
}

HttpRequest RegistryAuth::tokenRequest(const AuthChallenge& challenge, const UrlParts& parts,
                                       kj::StringPtr subject) {
  auto realm = kj::str(challenge.parameter("realm"));
  if (realm.findFirst('#') != nullptr) {
    fail(FailureCode::INVALID, subject, "the registry names a token service with a fragment");
  }
  HttpRequest request;
  request.route = endpoint.route(parts);
  request.loopbackHost = endpoint.loopbackFor(parts);
  request.mostBody = kMostToken;
  // The scope is ours, not the registry's: pull, this repository, nothing else.
  auto query = kj::str("scope=", urlEscaped(kj::str("repository:", repository, ":pull")));
  auto service = challenge.parameter("service");
  if (service.size() > 0) query = kj::str(query, "&service=", urlEscaped(service));

  const auto& credentials = endpoint.credentials();
  if (!credentials.is<RegistryEndpoint::None>() && !endpoint.mayShowCredentials(parts)) {
    // Whoever can answer for the registry could name any host here.
    fail(FailureCode::DENIED, subject,
         kj::str("the registry wants the credentials sent to ", parts.authority()),
         "add that host to the registry's token-hosts in imaged.toml if it is the right one");
  }
  if (credentials.is<RegistryEndpoint::IdentityToken>()) {
    const auto& token = credentials.get<RegistryEndpoint::IdentityToken>().token;
    request.form.emplace(kj::str("grant_type=refresh_token&client_id=", kClient, "&", query,
                                 "&refresh_token=", urlEscaped(token.reveal())));
    request.url = kj::mv(realm);
    return request;
  }
  if (credentials.is<RegistryEndpoint::Password>()) {
    request.authorization.emplace(credentials.get<RegistryEndpoint::Password>().basic());
  }
  auto separator = realm.findFirst('?') == nullptr ? "?" : "&";
  request.url = kj::str(realm, separator, query);
  return request;
}

kj::Promise<void> RegistryAuth::fetchToken(AuthChallenge challenge, kj::String subject) {
  auto realm = kj::str(challenge.parameter("realm"));
  if (realm.size() == 0) {
    fail(FailureCode::INVALID, subject, "the registry names no token service");
  }
  auto parts = parseUrl(realm, subject);
  if (parts.hasUser || !endpoint.mayRequest(parts)) {
    fail(FailureCode::DENIED, subject,
         kj::str("the registry wants a token from ", parts.scheme, "://", parts.authority()),
         "only https is used for tokens");
  }
  auto loopback = endpoint.loopbackFor(parts).size() > 0 ? Loopback::allowed : Loopback::refused;
  if (!mayAskFor(parts.host, loopback)) {
    fail(FailureCode::DENIED, subject,
         kj::str("the address ", parts.authority(), " is one that no token service may have"));
  }
  // Redirects are not followed: what leads away from the token service is a strange status.
  Retry retry(timer, kTokenDeadline);
  HttpOutcome result;
  for (;;) {
    auto request = tokenRequest(challenge, parts, subject);
    request.deadline = retry.left();
    result = co_await http.send(kj::mv(request));
    KJ_IF_MAYBE (wait, retry.again(result)) {
      co_await *wait;
    } else {
      break;
    }
  }
  if (result.is<HttpProblem>()) {
    auto& problem = result.get<HttpProblem>();
    fail(problem.code, subject, kj::str(parts.authority(), ": ", problem.message));
  }
  auto& response = result.get<HttpResponse>();
  switch (response.status) {
    case 200:
      take(response.body, subject);
      co_return;
    case 400:  // an identity token that is not taken: RFC 6749, 5.2
    case 401:
    case 403:
      refuse(response.status, subject);
    default:
      fail(FailureCode::UNREACHABLE, subject,
           kj::str("the token service ", parts.authority(), " answers with status ",
                   response.status));
  }
}

void RegistryAuth::take(kj::ArrayPtr<const kj::byte> answer, kj::StringPtr subject) {
  JsonLimits limits;
  limits.bytes = kMostToken;
  auto document = parseJson(answer, "token", subject, limits);
  JsonView root(document, "token", subject);
  auto token = root.textOf("token", kMostToken);
  if (token.size() == 0) token = root.textOf("access_token", kMostToken);
  if (!isTokenText(token)) fail(FailureCode::INVALID, subject, "the token service gives no token");
  uint64_t seconds = kLeastSeconds;
  KJ_IF_MAYBE (lifetime, root.member("expires_in")) {
    seconds = kj::max(kLeastSeconds, kj::min(kMostSeconds, lifetime->number()));
  }
  set(kj::str("Bearer ", token), timer.now() + seconds * kj::SECONDS - kMargin);
}

}  // namespace bulkhead
