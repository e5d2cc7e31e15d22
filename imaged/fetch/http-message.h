// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/array.h>
#include <kj/function.h>
#include <kj/string.h>
#include <kj/time.h>
#include <kj/vector.h>

#include "services/runtime/failure.h"
#include "services/runtime/log.h"

namespace bulkhead {

// How one server is reached. All of it is borrowed and outlives the request.
struct HttpRoute {
  kj::ArrayPtr<const kj::byte> certificates;       // the PEM bundle to trust
  kj::ArrayPtr<const kj::byte> clientCertificate;  // PEM; empty: none is shown
  kj::ArrayPtr<const kj::byte> clientKey;          // PEM
  kj::StringPtr proxy;                             // "http://proxy.example:3128"; empty: none
  kj::Maybe<const Secret&> proxyUser;              // "user:password"
  kj::Duration stall = 30 * kj::SECONDS;           // that a transfer may stand still
};

// One GET or HEAD, or a POST where there is a form. Redirects are not followed, cookies not used,
// bodies not decoded.
struct HttpRequest {
  kj::String url;
  enum class Body { wanted, unwanted } body = Body::wanted;  // unwanted: HEAD
  HttpRoute route;
  kj::Vector<kj::String> headers;   // "Accept: ..."
  kj::Maybe<Secret> authorization;  // the header's value: "Bearer ..."
  kj::Maybe<Secret> form;           // application/x-www-form-urlencoded
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
  FailureCode code;  // unreachable, timeout, denied, exhausted
  kj::String message;
  enum class Again { yes, no } again;  // whether another try may help
};

}  // namespace bulkhead
