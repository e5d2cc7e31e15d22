// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <curl/curl.h>
#include <kj/async-unix.h>
#include <kj/function.h>
#include <kj/one-of.h>
#include <kj/timer.h>
#include <kj/vector.h>

#include "services/runtime/failure.h"
#include "services/runtime/log.h"

namespace bulkhead {

// One GET. Redirects are not followed, proxies and cookies not used, bodies not decoded.
struct HttpRequest {
  kj::String url;
  kj::Vector<kj::String> headers;   // "Accept: ..."
  kj::Maybe<Secret> authorization;  // the header's value: "Bearer ..."
  kj::Duration deadline = 60 * kj::SECONDS;

  // The name the request may reach the machine itself by; empty: it may not.
  kj::String loopbackHost;

  // The most a body may have that is kept in memory.
  size_t mostBody = 64u << 10;

  // Takes the body of an answer of status 200 or 206 instead. `status` is passed with each piece.
  kj::Maybe<kj::Function<void(long status, kj::ArrayPtr<const kj::byte>)>> sink;

  // How the `Content-Range` of a 206 must begin: "bytes 4096-".
  kj::String wantedRange;
};

struct HttpResponse {
  long status = 0;
  kj::String contentType;
  kj::String location;
  kj::String contentRange;
  kj::String retryAfter;
  kj::String contentDigest;           // Docker-Content-Digest
  kj::Vector<kj::String> challenges;  // WWW-Authenticate
  kj::Vector<kj::byte> body;
};

// Why a request got no complete answer.
struct HttpProblem {
  FailureCode code;  // unreachable, timeout, invalid, exhausted
  kj::String message;
  enum class Again { yes, no } again;  // whether another try may help
};

// The parts of a URL that decide where a request goes.
struct UrlParts {
  kj::String scheme;
  kj::String host;  // brackets removed
  kj::String port;  // always a number
  bool hasUser;

  // "host:port", as errors name it.
  kj::String authority() const;
  bool sameOrigin(const UrlParts& other) const;
};

// Fails with `invalid` where the text is no absolute URL.
UrlParts parseUrl(kj::StringPtr url, kj::StringPtr subject);

// A `Location` seen from the URL it came from.
kj::String resolveUrl(kj::StringPtr base, kj::StringPtr location, kj::StringPtr subject);

// `text` with everything but unreserved characters as %XX.
kj::String urlEscaped(kj::StringPtr text);

// libcurl on the event loop. Makes one request at a time.
class HttpClient {
 public:
  // `certificates`: the PEM bundle to trust; borrowed, as are the others.
  HttpClient(kj::UnixEventPort& port, kj::Timer& timer, kj::ArrayPtr<const kj::byte> certificates);
  ~HttpClient() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(HttpClient);

  // The answer, whatever its status, or why there is none. What the sink throws is thrown here.
  kj::Promise<kj::OneOf<HttpResponse, HttpProblem>> get(HttpRequest request);

  // libcurl's and the resolver's own first steps read files: to be done before the sandbox.
  static void prepare();

 private:
  struct Transfer;

  kj::Timer& timer;
  kj::ArrayPtr<const kj::byte> certificates;
  CURLM* multi;
  // libcurl wants its sockets watched level-triggered, kj watches edges: this stands in between.
  kj::AutoCloseFd sockets;
  kj::UnixEventPort::FdObserver observer;
  kj::Maybe<kj::TimePoint> wakeAt;

  static int onSocket(CURL*, curl_socket_t fd, int what, void* self, void*);
  static int onTimer(CURLM*, long milliseconds, void* self);
  kj::Promise<void> drive(Transfer& transfer);
};

}  // namespace bulkhead
