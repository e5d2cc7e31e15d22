// SPDX-License-Identifier: Apache-2.0
#include "imaged/fetch/registry-client.h"

#include <kj/debug.h>
#include <kj/encoding.h>

#include "imaged/json.h"
#include "imaged/reference.h"
#include "imaged/write-at.h"

namespace bulkhead {
namespace {

constexpr uint kMostRedirects = 5;
constexpr uint kTries = 3;
constexpr size_t kMostToken = 64u << 10;
// No registry needs longer, and none may keep us longer than this.
constexpr auto kMostRetryAfter = 10 * kj::SECONDS;
constexpr auto kDocumentDeadline = 60 * kj::SECONDS;
constexpr uint64_t kSlowestBytesPerSecond = 32u << 10;

// Docker's registry answers under another name than the one it is known by, and so does its token
// service.
constexpr kj::StringPtr kDockerHub = "docker.io"_kj;
constexpr kj::StringPtr kDockerHubApi = "registry-1.docker.io"_kj;
constexpr kj::StringPtr kDockerHubAuth = "auth.docker.io"_kj;

bool isTokenText(kj::StringPtr text) {
  if (text.size() == 0) return false;
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte >= 0x7f) return false;
  }
  return true;
}

bool isTransient(long status) {
  return status == 408 || status == 429 || (status >= 500 && status != 501 && status != 505);
}

}  // namespace

struct RegistryClient::Wanted {
  kj::String path;    // after the origin
  kj::String accept;  // may be empty
  kj::String subject;
  size_t mostBody;
  kj::Duration deadline;
  // For blobs: called before each try; says from which byte on.
  kj::Maybe<kj::Function<uint64_t()>> resumeFrom;
  kj::Maybe<kj::Function<void(long, kj::ArrayPtr<const kj::byte>)>> sink;
};

RegistryClient::RegistryClient(HttpClient& http, kj::Timer& timer,
                               schema::Registry::Reader registry, kj::StringPtr repository)
    : http(http), timer(timer), host(kj::str(registry.getHost())), repository(kj::str(repository)) {
  bool plain = registry.getScheme() == schema::Registry::Scheme::HTTP;
  auto api = host == kDockerHub ? kj::str(kDockerHubApi) : kj::str(host);
  origin = kj::str(plain ? "http://" : "https://", api);
  originParts = parseUrl(origin, host);
  if (isLoopbackHost(originParts.host)) loopbackHost = kj::str(originParts.host);
  auto credentials = registry.getCredentials();
  switch (credentials.which()) {
    case schema::Credentials::NONE:
      break;
    case schema::Credentials::PASSWORD:
      user.emplace(kj::str(credentials.getPassword().getUser(), ":",
                           credentials.getPassword().getPassword()));
      break;
    case schema::Credentials::REGISTRY_TOKEN:
      if (!isTokenText(credentials.getRegistryToken())) {
        fail(FailureCode::INVALID, host, "the registry token is no token");
      }
      authorization.emplace(kj::str("Bearer ", credentials.getRegistryToken()));
      break;
    default:
      fail(FailureCode::UNSUPPORTED, host, "identity tokens are not served",
           "use user and password, or a registry token");
  }
}

bool RegistryClient::plainHttpAllowed(const UrlParts& parts) const {
  return originParts.scheme == "http" && parts.sameOrigin(originParts);
}

kj::String RegistryClient::loopbackFor(const UrlParts& parts) const {
  return parts.host == loopbackHost ? kj::str(loopbackHost) : kj::String();
}

// One request, redirects followed.
kj::Promise<kj::OneOf<HttpResponse, HttpProblem>> RegistryClient::getFollowing(Wanted& wanted) {
  auto url = kj::str(origin, wanted.path);
  for (uint hop = 0; hop <= kMostRedirects; ++hop) {
    auto parts = parseUrl(url, wanted.subject);
    bool home = parts.sameOrigin(originParts);
    if (parts.scheme != "https" && !plainHttpAllowed(parts)) {
      fail(FailureCode::DENIED, wanted.subject,
           kj::str("the registry sends us to ", parts.scheme, "://", parts.authority()),
           "only https is followed");
    }
    HttpRequest request;
    request.url = kj::str(url);
    request.deadline = wanted.deadline;
    request.mostBody = wanted.mostBody;
    request.loopbackHost = loopbackFor(parts);
    if (wanted.accept.size() > 0) request.headers.add(kj::str("Accept: ", wanted.accept));
    if (home) {
      KJ_IF_MAYBE (value, authorization) request.authorization.emplace(kj::str(value->reveal()));
    }
    KJ_IF_MAYBE (resume, wanted.resumeFrom) {
      uint64_t from = (*resume)();
      if (from > 0) {
        request.headers.add(kj::str("Range: bytes=", from, "-"));
        request.wantedRange = kj::str("bytes ", from, "-");
      }
    }
    KJ_IF_MAYBE (sink, wanted.sink) {
      request.sink = [sink](long status, kj::ArrayPtr<const kj::byte> bytes) {
        (*sink)(status, bytes);
      };
    }
    auto result = co_await http.get(kj::mv(request));
    if (result.is<HttpProblem>()) {
      auto& problem = result.get<HttpProblem>();
      problem.message = kj::str(parts.authority(), ": ", problem.message);
      co_return kj::mv(result);
    }
    auto& response = result.get<HttpResponse>();
    bool redirect = response.status >= 301 && response.status <= 308 && response.status != 304 &&
                    response.status != 305 && response.status != 306;
    if (!redirect) co_return kj::mv(result);
    if (response.location.size() == 0) {
      fail(FailureCode::INVALID, wanted.subject, "the registry redirects to nowhere");
    }
    auto next = resolveUrl(url, response.location, wanted.subject);
    if (parseUrl(next, wanted.subject).hasUser) {
      fail(FailureCode::DENIED, wanted.subject, "the registry redirects with a user name in it");
    }
    url = kj::mv(next);
  }
  fail(FailureCode::INVALID, wanted.subject,
       kj::str("the registry redirects more than ", kMostRedirects, " times"));
}

kj::Promise<HttpResponse> RegistryClient::getWithRetries(Wanted& wanted) {
  bool challenged = false;
  for (uint attempt = 1;; ++attempt) {
    auto result = co_await getFollowing(wanted);
    auto wait = attempt * attempt * 250 * kj::MILLISECONDS;
    if (result.is<HttpProblem>()) {
      auto& problem = result.get<HttpProblem>();
      if (problem.again == HttpProblem::Again::no || attempt >= kTries) {
        fail(problem.code, wanted.subject, problem.message,
             problem.code == FailureCode::UNREACHABLE ? "is the registry up, and the name right?"
                                                      : "");
      }
    } else {
      auto& response = result.get<HttpResponse>();
      if (response.status == 401 && !challenged) {
        challenged = true;
        --attempt;
        co_await answerChallenge(response, wanted.subject);
        continue;
      }
      if (!isTransient(response.status)) co_return kj::mv(response);
      if (attempt >= kTries) failStatus(response, wanted.subject);
      KJ_IF_MAYBE (seconds, response.retryAfter.tryParseAs<uint32_t>()) {
        wait = kj::min(*seconds * kj::SECONDS, kMostRetryAfter);
      }
    }
    co_await timer.afterDelay(wait);
  }
}

void RegistryClient::failStatus(const HttpResponse& response, kj::StringPtr subject) {
  switch (response.status) {
    case 401:
    case 403:
      fail(FailureCode::UNAUTHENTICATED, subject,
           kj::str("the registry ", originParts.authority(), " does not let us (status ",
                   response.status, ")"),
           user == nullptr ? "give credentials, or check the name: registries hide what is missing"
                           : "check user and password");
    case 404:
      fail(FailureCode::NOT_FOUND, subject,
           kj::str("the registry ", originParts.authority(), " does not have it"),
           "check repository and tag");
    default:
      fail(FailureCode::UNREACHABLE, subject,
           kj::str("the registry ", originParts.authority(), " answers with status ",
                   response.status));
  }
}

kj::Promise<void> RegistryClient::answerChallenge(const HttpResponse& response,
                                                  kj::StringPtr subject) {
  for (const auto& header : response.challenges) {
    auto parsed = parseChallenges(header);
    KJ_IF_MAYBE (challenges, parsed) {
      for (const auto& challenge : *challenges) {
        if (challenge.scheme == "bearer") {
          co_await fetchToken(challenge, subject);
          co_return;
        }
        if (challenge.scheme == "basic" && user != nullptr) {
          authorization.emplace(
              kj::str("Basic ", kj::encodeBase64(KJ_ASSERT_NONNULL(user).reveal().asBytes())));
          co_return;
        }
      }
    }
  }
  failStatus(response, subject);
}

// Docker registry token authentication, "token" endpoint.
kj::Promise<void> RegistryClient::fetchToken(const AuthChallenge& challenge,
                                             kj::StringPtr subject) {
  auto realm = kj::str(challenge.parameter("realm"));
  auto parts = parseUrl(realm, subject);
  if (parts.hasUser || (parts.scheme != "https" && !plainHttpAllowed(parts))) {
    fail(FailureCode::DENIED, subject,
         kj::str("the registry wants a token from ", parts.scheme, "://", parts.authority()),
         "only https is used for tokens");
  }
  HttpRequest request;
  if (user != nullptr) {
    // Whoever can answer for the registry could name any host here: the password goes nowhere
    // but to the registry itself.
    bool own =
        parts.host == originParts.host || (host == kDockerHub && parts.host == kDockerHubAuth);
    if (!own) {
      fail(FailureCode::DENIED, subject,
           kj::str("the registry wants the password sent to ", parts.authority()));
    }
    request.authorization.emplace(
        kj::str("Basic ", kj::encodeBase64(KJ_ASSERT_NONNULL(user).reveal().asBytes())));
  }
  auto separator = kj::StringPtr(realm).findFirst('?') == nullptr ? "?" : "&";
  // The scope is ours, not the registry's: pull, this repository, nothing else.
  request.url =
      kj::str(realm, separator, "scope=", urlEscaped(kj::str("repository:", repository, ":pull")));
  auto service = challenge.parameter("service");
  if (service.size() > 0) request.url = kj::str(request.url, "&service=", urlEscaped(service));
  request.loopbackHost = loopbackFor(parts);
  request.mostBody = kMostToken;
  request.deadline = kDocumentDeadline;
  auto result = co_await http.get(kj::mv(request));
  if (result.is<HttpProblem>()) {
    auto& problem = result.get<HttpProblem>();
    fail(problem.code, subject, kj::str(parts.authority(), ": ", problem.message));
  }
  auto& response = result.get<HttpResponse>();
  if (response.status == 401 || response.status == 403) failStatus(response, subject);
  if (response.status != 200) {
    fail(
        FailureCode::UNREACHABLE, subject,
        kj::str("the token service ", parts.authority(), " answers with status ", response.status));
  }
  JsonLimits limits;
  limits.bytes = kMostToken;
  auto document = parseJson(response.body, "token", subject, limits);
  JsonView root(document, "token", subject);
  auto token = root.textOf("token", kMostToken);
  if (token.size() == 0) token = root.textOf("access_token", kMostToken);
  if (!isTokenText(token)) fail(FailureCode::INVALID, subject, "the token service gives no token");
  authorization.emplace(kj::str("Bearer ", token));
}

kj::Promise<RegistryClient::Answer> RegistryClient::getDocument(kj::String path, kj::String accept,
                                                                size_t most, kj::String subject) {
  Wanted wanted{kj::str("/v2/", repository, "/", path),
                kj::mv(accept),
                kj::mv(subject),
                most,
                kDocumentDeadline,
                nullptr,
                nullptr};
  auto response = co_await getWithRetries(wanted);
  if (response.status != 200) failStatus(response, wanted.subject);
  co_return Answer{response.body.releaseAsArray(), kj::mv(response.contentType),
                   kj::mv(response.contentDigest)};
}

kj::Promise<Digest> RegistryClient::getBlob(Digest digest, uint64_t size, int fd,
                                            Progress& progress) {
  auto subject = digest.toString();
  Sha256 hash;
  uint64_t position = 0;
  Wanted wanted{kj::str("/v2/", repository, "/blobs/", subject),
                kj::String(),
                kj::str(subject),
                64u << 10,
                kDocumentDeadline + size / kSlowestBytesPerSecond * kj::SECONDS,
                nullptr,
                nullptr};
  bool fresh = true;
  wanted.resumeFrom = [&]() {
    fresh = true;
    return position;
  };
  wanted.sink = [&](long status, kj::ArrayPtr<const kj::byte> bytes) {
    if (fresh && status == 200) {
      // All of it again: what came before does not count.
      hash.reset();
      position = 0;
    }
    fresh = false;
    if (bytes.size() > size - position) {
      fail(FailureCode::DIGEST_MISMATCH, subject,
           kj::str("the registry sends more than the ", size, " bytes that were announced"));
    }
    writeAt(fd, position, bytes);
    hash.update(bytes);
    position += bytes.size();
    progress.report("fetch", subject, position, size);
  };
  auto response = co_await getWithRetries(wanted);
  if (response.status != 200 && response.status != 206) failStatus(response, subject);
  if (position != size) {
    fail(FailureCode::DIGEST_MISMATCH, subject,
         kj::str("the registry sends ", position, " bytes; ", size, " were announced"));
  }
  auto got = hash.finish();
  if (got != digest) {
    fail(FailureCode::DIGEST_MISMATCH, subject, kj::str("the bytes sent have the digest ", got));
  }
  co_return got;
}

}  // namespace bulkhead
