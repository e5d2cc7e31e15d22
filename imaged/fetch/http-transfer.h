// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <curl/curl.h>
#include <kj/async.h>
#include <kj/one-of.h>

#include "imaged/fetch/http-message.h"

namespace bulkhead {

using HttpOutcome = kj::OneOf<HttpResponse, HttpProblem>;

// One request as libcurl runs it: an easy handle, and what its callbacks gather.
class HttpTransfer {
 public:
  HttpTransfer(HttpRequest request, kj::Own<kj::PromiseFulfiller<HttpOutcome>> done);
  ~HttpTransfer() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(HttpTransfer);

  CURL* handle() { return easy; }
  static HttpTransfer& of(CURL* handle);

  // Whether it is one whose speed matters.
  bool isStream() const { return request.sink != nullptr; }

  // From now on; 0: as fast as can be.
  void limitRate(uint64_t bytesPerSecond);

  // libcurl is through with it: whoever waits is told, what the sink threw included.
  void finish(CURLcode result);

  // Something of ours went wrong.
  void fail(kj::Exception exception) { done->reject(kj::mv(exception)); }

 private:
  HttpRequest request;
  HttpResponse response;
  kj::Own<kj::PromiseFulfiller<HttpOutcome>> done;
  CURL* easy;
  curl_slist* headers = nullptr;
  char errorText[CURL_ERROR_SIZE] = {};
  kj::String refusedAddress;
  kj::String refusal;
  size_t headerBytes = 0;
  kj::Maybe<kj::Exception> thrown;

  void addHeader(kj::StringPtr line);
  void configure();
  void configureRoute();
  HttpOutcome outcome(CURLcode result);
  HttpProblem timedOut(kj::String text);

  static size_t onHeader(char* data, size_t size, size_t count, void* self);
  static size_t onBody(char* data, size_t size, size_t count, void* self);
  static curl_socket_t onOpenSocket(void* self, curlsocktype, curl_sockaddr* address);
};

}  // namespace bulkhead
