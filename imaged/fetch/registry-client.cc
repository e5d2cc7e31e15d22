// SPDX-License-Identifier: Apache-2.0
#include "imaged/fetch/registry-client.h"

#include <kj/debug.h>

#include "imaged/fetch/address-policy.h"

namespace bulkhead {
namespace {

constexpr uint kMostRedirects = 5;
constexpr size_t kMostErrorBody = 64u << 10;
constexpr auto kDocumentDeadline = 60 * kj::SECONDS;
constexpr uint64_t kSlowestBytesPerSecond = 32u << 10;
// How much of a blob makes it worth to count the tries anew.
constexpr uint64_t kProgress = 1u << 20;

bool isRedirect(long status) {
  return status >= 301 && status <= 308 && status != 304 && status != 305 && status != 306;
}

// A blob may take as long as the slowest line we put up with needs, or the limit we set ourselves:
// twice that, since other blobs share it.
kj::Duration deadlineFor(uint64_t size, uint64_t bytesPerSecond) {
  auto slowest = kSlowestBytesPerSecond;
  if (bytesPerSecond > 0) slowest = kj::max(uint64_t{1}, kj::min(slowest, bytesPerSecond / 8));
  return kDocumentDeadline + size / slowest * kj::SECONDS;
}

}  // namespace

struct RegistryClient::Wanted {
  kj::String path;  // after the origin
  kj::StringPtr accept;
  kj::StringPtr subject;
  size_t mostBody;
  kj::Maybe<BlobDownload&> blob;
  HttpRequest::Body body = HttpRequest::Body::wanted;
};

RegistryClient::RegistryClient(HttpClient& http, kj::Timer& timer,
                               schema::Registry::Reader registry, kj::StringPtr repositoryParam,
                               kj::ArrayPtr<const kj::byte> systemCertificates)
    : http(http),
      timer(timer),
      endpoint(registry, systemCertificates),
      repository(registry.getRepositoryPrefix().size() == 0
                     ? kj::str(repositoryParam)
                     : kj::str(registry.getRepositoryPrefix(), "/", repositoryParam)),
      auth(http, timer, endpoint, repository) {}

// One request to one place.
kj::Promise<HttpOutcome> RegistryClient::getOnce(Wanted& wanted, kj::StringPtr url, Retry& retry) {
  auto parts = parseUrl(url, wanted.subject);
  if (parts.hasUser) {
    fail(FailureCode::DENIED, wanted.subject, "the registry redirects with a user name in it");
  }
  if (!endpoint.mayRequest(parts)) {
    fail(FailureCode::DENIED, wanted.subject,
         kj::str("the registry sends us to ", parts.scheme, "://", parts.authority()),
         "only https is followed");
  }
  auto loopback = endpoint.loopbackFor(parts).size() > 0 ? Loopback::allowed : Loopback::refused;
  if (!mayAskFor(parts.host, loopback)) {
    fail(FailureCode::DENIED, wanted.subject,
         kj::str("the address ", parts.authority(), " is one that no registry may have"));
  }
  HttpRequest request;
  request.url = kj::str(url);
  request.route = endpoint.route(parts);
  request.body = wanted.body;
  request.deadline = retry.left();
  request.mostBody = wanted.mostBody;
  request.loopbackHost = endpoint.loopbackFor(parts);
  if (wanted.accept.size() > 0) request.headers.add(kj::str("Accept: ", wanted.accept));
  if (endpoint.isHome(parts)) request.authorization = auth.header();
  KJ_IF_MAYBE (blob, wanted.blob) {
    if (blob->position() > 0) {
      request.headers.add(kj::str("Range: bytes=", blob->position(), "-"));
      request.wantedRange = kj::str("bytes ", blob->position(), "-");
    }
    blob->beginAnswer();
    request.sink = [blob](long status, kj::ArrayPtr<const kj::byte> bytes) {
      blob->take(status, bytes);
    };
  }
  auto outcome = co_await http.send(kj::mv(request));
  if (outcome.is<HttpProblem>()) {
    auto& problem = outcome.get<HttpProblem>();
    problem.message = kj::str(parts.authority(), ": ", problem.message);
  }
  co_return kj::mv(outcome);
}

// One request, redirects followed.
kj::Promise<HttpOutcome> RegistryClient::getFollowing(Wanted& wanted, Retry& retry) {
  auto url = kj::str(endpoint.origin(), wanted.path);
  for (uint hop = 0; hop <= kMostRedirects; ++hop) {
    auto outcome = co_await getOnce(wanted, url, retry);
    if (outcome.is<HttpProblem>()) co_return kj::mv(outcome);
    auto& response = outcome.get<HttpResponse>();
    // Whoever is sent on to where a blob lies has been let in.
    bool enough = wanted.body == HttpRequest::Body::unwanted;
    if (!isRedirect(response.status) || enough) co_return kj::mv(outcome);
    if (response.location.size() == 0) {
      fail(FailureCode::INVALID, wanted.subject, "the registry redirects to nowhere");
    }
    url = resolveUrl(url, response.location, wanted.subject);
  }
  fail(FailureCode::INVALID, wanted.subject,
       kj::str("the registry redirects more than ", kMostRedirects, " times"));
}

kj::Promise<HttpResponse> RegistryClient::getWithRetries(Wanted& wanted, Retry& retry) {
  enum class Challenge { open, answered } challenge = Challenge::open;
  uint64_t counted = 0;
  for (;;) {
    if (retry.left() < 1 * kj::MILLISECONDS) {
      fail(FailureCode::TIMEOUT, wanted.subject,
           kj::str(endpoint.originParts().authority(), ": it takes too long altogether"));
    }
    auto generation = auth.generation();
    auto outcome = co_await getFollowing(wanted, retry);
    if (outcome.is<HttpResponse>() && outcome.get<HttpResponse>().status == 401) {
      auto& response = outcome.get<HttpResponse>();
      if (challenge == Challenge::answered) auth.refuse(response.status, wanted.subject);
      challenge = Challenge::answered;
      co_await auth.answer(response, generation, wanted.subject);
      continue;
    }
    // A token that ends before the blob does is asked for again.
    challenge = Challenge::open;
    KJ_IF_MAYBE (blob, wanted.blob) {
      // Every byte is there: how the connection ended is nobody's business.
      bool whole = blob->size() > 0 && blob->position() == blob->size();
      if (whole && outcome.is<HttpProblem>()) {
        HttpResponse response;
        response.status = 200;
        co_return response;
      }
      if (blob->position() >= counted + kProgress) {
        counted = blob->position();
        retry.progressed();
      }
    }
    KJ_IF_MAYBE (wait, retry.again(outcome)) {
      co_await *wait;
      continue;
    }
    if (outcome.is<HttpResponse>()) co_return kj::mv(outcome.get<HttpResponse>());
    auto& problem = outcome.get<HttpProblem>();
    fail(problem.code, wanted.subject, problem.message,
         problem.code == FailureCode::UNREACHABLE ? "is the registry up, and the name right?" : "");
  }
}

void RegistryClient::failStatus(const HttpResponse& response, kj::StringPtr subject) {
  auto authority = endpoint.originParts().authority();
  switch (response.status) {
    case 401:
    case 403:
      auth.refuse(response.status, subject);
    case 404:
      fail(FailureCode::NOT_FOUND, subject,
           kj::str("the registry ", authority, " does not have it"), "check repository and tag");
    case 429:
      fail(FailureCode::UNREACHABLE, subject,
           kj::str("the registry ", authority, " is asked too often (status 429)"),
           "wait, log in, or give the registry a mirror in imaged.toml");
    default:
      fail(FailureCode::UNREACHABLE, subject,
           kj::str("the registry ", authority, " answers with status ", response.status));
  }
}

kj::Promise<RegistryClient::Answer> RegistryClient::getDocument(kj::StringPtr path,
                                                                kj::StringPtr accept, size_t most,
                                                                kj::StringPtr subject) {
  Wanted wanted{kj::str("/v2/", repository, "/", path),
                accept,
                subject,
                most,
                nullptr,
                HttpRequest::Body::wanted};
  Retry retry(timer, kDocumentDeadline);
  auto response = co_await getWithRetries(wanted, retry);
  if (response.status != 200) failStatus(response, subject);
  co_return Answer{response.body.releaseAsArray(), kj::mv(response.contentType),
                   kj::mv(response.contentDigest)};
}

kj::Promise<void> RegistryClient::requireBlob(Digest digest) {
  auto subject = digest.toString();
  Wanted wanted{kj::str("/v2/", repository, "/blobs/", subject),
                "",
                subject,
                kMostErrorBody,
                nullptr,
                HttpRequest::Body::unwanted};
  Retry retry(timer, kDocumentDeadline);
  auto response = co_await getWithRetries(wanted, retry);
  if (response.status != 200 && !isRedirect(response.status)) failStatus(response, subject);
}

kj::Promise<void> RegistryClient::getBlob(BlobDownload& blob) {
  auto subject = blob.digest().toString();
  Wanted wanted{kj::str("/v2/", repository, "/blobs/", subject),
                "",
                subject,
                kMostErrorBody,
                blob,
                HttpRequest::Body::wanted};
  Retry retry(timer, deadlineFor(blob.size(), endpoint.bytesPerSecond()));
  do {
    auto response = co_await getWithRetries(wanted, retry);
    if (response.status != 200 && response.status != 206) failStatus(response, subject);
  } while (!blob.complete());
}

}  // namespace bulkhead
