// SPDX-License-Identifier: Apache-2.0
#include "imaged/fetch/http-transfer.h"

#include <string.h>
#include <sys/socket.h>

#include <string_view>

#include <kj/debug.h>

#include "imaged/fetch/address-policy.h"
#include "imaged/fetch/url.h"

namespace bulkhead {
namespace {

constexpr long kConnectMilliseconds = 10'000;
constexpr long kLowSpeedBytes = 1024;
constexpr size_t kMostHeaders = 64u << 10;

template <typename T>
void set(CURL* easy, CURLoption option, T value) {
  auto result = curl_easy_setopt(easy, option, value);
  KJ_REQUIRE(result == CURLE_OK, "libcurl refuses an option", static_cast<int>(option),
             curl_easy_strerror(result));
}

void setBlob(CURL* easy, CURLoption option, kj::ArrayPtr<const kj::byte> bytes) {
  if (bytes.size() == 0) return;
  curl_blob blob{const_cast<kj::byte*>(bytes.begin()), bytes.size(), CURL_BLOB_NOCOPY};
  set(easy, option, &blob);
}

bool takeHeader(kj::StringPtr line, kj::StringPtr name, kj::String& value) {
  if (line.size() <= name.size() || line[name.size()] != ':') return false;
  if (strncasecmp(line.cStr(), name.cStr(), name.size()) != 0) return false;
  size_t start = name.size() + 1;
  while (start < line.size() && (line[start] == ' ' || line[start] == '\t')) ++start;
  size_t end = line.size();
  while (end > start && (line[end - 1] == ' ' || line[end - 1] == '\t')) --end;
  value = kj::str(line.slice(start, end));
  return true;
}

}  // namespace

HttpTransfer::HttpTransfer(HttpRequest requestParam,
                           kj::Own<kj::PromiseFulfiller<HttpOutcome>> done)
    : request(kj::mv(requestParam)), done(kj::mv(done)), easy(curl_easy_init()) {
  KJ_REQUIRE(easy != nullptr, "no memory for a transfer");
  configure();
  configureRoute();
}

HttpTransfer::~HttpTransfer() noexcept(false) {
  curl_easy_cleanup(easy);
  curl_slist_free_all(headers);
}

HttpTransfer& HttpTransfer::of(CURL* handle) {
  char* self = nullptr;
  curl_easy_getinfo(handle, CURLINFO_PRIVATE, &self);
  return *reinterpret_cast<HttpTransfer*>(self);
}

void HttpTransfer::limitRate(uint64_t bytesPerSecond) {
  set(easy, CURLOPT_MAX_RECV_SPEED_LARGE, static_cast<curl_off_t>(bytesPerSecond));
}

void HttpTransfer::addHeader(kj::StringPtr line) {
  auto* longer = curl_slist_append(headers, line.cStr());
  KJ_REQUIRE(longer != nullptr, "no memory for a header");
  headers = longer;
}

size_t HttpTransfer::onHeader(char* data, size_t size, size_t count, void* opaque) {
  auto& self = *static_cast<HttpTransfer*>(opaque);
  size_t length = size * count;
  self.headerBytes += length;
  if (self.headerBytes > kMostHeaders) {
    self.refusal = kj::str("the headers have more than ", kMostHeaders, " bytes");
    return 0;
  }
  std::string_view text(data, length);
  text.remove_suffix(text.size() - (text.find_last_not_of("\r\n") + 1));
  auto line = kj::heapString(text.data(), text.size());
  auto& r = self.response;
  kj::String challenge;
  if (takeHeader(line, "Content-Type", r.contentType)) {
  } else if (takeHeader(line, "Location", r.location)) {
  } else if (takeHeader(line, "Content-Range", r.contentRange)) {
  } else if (takeHeader(line, "Retry-After", r.retryAfter)) {
  } else if (takeHeader(line, "Docker-Content-Digest", r.contentDigest)) {
  } else if (takeHeader(line, "WWW-Authenticate", challenge)) {
    r.challenges.add(kj::mv(challenge));
  }
  return size * count;
}

size_t HttpTransfer::onBody(char* data, size_t size, size_t count, void* opaque) {
  auto& self = *static_cast<HttpTransfer*>(opaque);
  auto bytes = kj::arrayPtr(data, size * count).asBytes();
  long status = 0;
  curl_easy_getinfo(self.easy, CURLINFO_RESPONSE_CODE, &status);
  KJ_IF_MAYBE (sink, self.request.sink) {
    if (status == 200 || status == 206) {
      if (status == 206 && !self.response.contentRange.startsWith(self.request.wantedRange)) {
        self.refusal = kj::str("the registry answered with another range");
        return 0;
      }
      try {
        (*sink)(status, bytes);
      } catch (...) {
        self.thrown = kj::getCaughtExceptionAsKj();
        return 0;
      }
      return bytes.size();
    }
  }
  if (self.response.body.size() + bytes.size() > self.request.mostBody) {
    self.refusal = kj::str("the answer has more than ", self.request.mostBody, " bytes");
    return 0;
  }
  self.response.body.addAll(bytes);
  return bytes.size();
}

curl_socket_t HttpTransfer::onOpenSocket(void* opaque, curlsocktype, curl_sockaddr* address) {
  auto& self = *static_cast<HttpTransfer*>(opaque);
  // Where a proxy lives is configured, and no registry has a say in it.
  bool own = self.request.loopbackHost.size() > 0 || self.request.route.proxy.size() > 0;
  if (!mayConnectTo(&address->addr, own ? Loopback::allowed : Loopback::refused)) {
    self.refusedAddress = describeAddress(&address->addr);
    return CURL_SOCKET_BAD;
  }
  return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

void HttpTransfer::configure() {
  set(easy, CURLOPT_PRIVATE, static_cast<void*>(this));
  set(easy, CURLOPT_URL, request.url.cStr());
  set(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  set(easy, CURLOPT_FOLLOWLOCATION, 0L);
  set(easy, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  // HTTP/2 where TLS negotiates it. Requests share a connection that is known to allow it, and do
  // not wait to learn of one: libcurl would let them wait for as long as the first answer takes.
  set(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS));
  set(easy, CURLOPT_NOSIGNAL, 1L);
  set(easy, CURLOPT_USERAGENT, "bulkhead-imaged");
  long stall = static_cast<long>(request.route.stall / kj::MILLISECONDS);
  set(easy, CURLOPT_CONNECTTIMEOUT_MS, kj::min(kConnectMilliseconds, stall));
  set(easy, CURLOPT_LOW_SPEED_LIMIT, kLowSpeedBytes);
  set(easy, CURLOPT_LOW_SPEED_TIME, static_cast<long>(request.route.stall / kj::SECONDS));
  // 0 would mean none.
  set(easy, CURLOPT_TIMEOUT_MS,
      kj::max(1L, static_cast<long>(request.deadline / kj::MILLISECONDS)));
  set(easy, CURLOPT_BUFFERSIZE, 256L << 10);
  set(easy, CURLOPT_ERRORBUFFER, errorText);
  set(easy, CURLOPT_HEADERFUNCTION, &HttpTransfer::onHeader);
  set(easy, CURLOPT_HEADERDATA, this);
  set(easy, CURLOPT_WRITEFUNCTION, &HttpTransfer::onBody);
  set(easy, CURLOPT_WRITEDATA, this);
  set(easy, CURLOPT_OPENSOCKETFUNCTION, &HttpTransfer::onOpenSocket);
  set(easy, CURLOPT_OPENSOCKETDATA, this);
  if (request.body == HttpRequest::Body::unwanted) set(easy, CURLOPT_NOBODY, 1L);
  KJ_IF_MAYBE (form, request.form) {
    set(easy, CURLOPT_POSTFIELDSIZE, static_cast<long>(form->reveal().size()));
    set(easy, CURLOPT_POSTFIELDS, form->reveal().cStr());
  }
  for (const auto& header : request.headers) addHeader(header);
  KJ_IF_MAYBE (authorization, request.authorization) {
    addHeader(kj::str("Authorization: ", authorization->reveal()));
  }
  set(easy, CURLOPT_HTTPHEADER, headers);
}

void HttpTransfer::configureRoute() {
  const auto& route = request.route;
  set(easy, CURLOPT_PROXY, route.proxy.cStr());
  set(easy, CURLOPT_NOPROXY, "");
  if (route.proxy.size() > 0) {
    // What is said to the proxy is not said to the registry.
    set(easy, CURLOPT_HTTPPROXYTUNNEL, 1L);
    set(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    set(easy, CURLOPT_HEADEROPT, static_cast<long>(CURLHEADER_SEPARATE));
    set(easy, CURLOPT_PROXYAUTH, static_cast<long>(CURLAUTH_BASIC));
    KJ_IF_MAYBE (user, route.proxyUser) {
      set(easy, CURLOPT_PROXYUSERPWD, user->reveal().cStr());
    }
  }
  set(easy, CURLOPT_SSL_VERIFYPEER, 1L);
  set(easy, CURLOPT_SSL_VERIFYHOST, 2L);
  set(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  set(easy, CURLOPT_CAPATH, static_cast<char*>(nullptr));
  setBlob(easy, CURLOPT_CAINFO_BLOB, route.certificates);
  setBlob(easy, CURLOPT_SSLCERT_BLOB, route.clientCertificate);
  setBlob(easy, CURLOPT_SSLKEY_BLOB, route.clientKey);
}

HttpProblem HttpTransfer::timedOut(kj::String text) {
  curl_off_t connected = 0;
  curl_easy_getinfo(easy, CURLINFO_CONNECT_TIME_T, &connected);
  if (connected == 0) return {FailureCode::UNREACHABLE, kj::mv(text), HttpProblem::Again::no};
  // One that stands still may be better the next time: how often, the deadline says.
  return {FailureCode::TIMEOUT, kj::mv(text), HttpProblem::Again::yes};
}

HttpOutcome HttpTransfer::outcome(CURLcode code) {
  if (code == CURLE_OK) {
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &response.status);
    return kj::mv(response);
  }
  auto text = kj::str(errorText[0] != 0 ? errorText : curl_easy_strerror(code));
  if (refusal.size() > 0) {
    return HttpProblem{FailureCode::EXHAUSTED, kj::mv(refusal), HttpProblem::Again::no};
  }
  if (refusedAddress.size() > 0) {
    return HttpProblem{FailureCode::DENIED,
                       kj::str("its address ", refusedAddress, " is one that no registry may have"),
                       HttpProblem::Again::no};
  }
  switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
      return timedOut(kj::mv(text));
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
      return HttpProblem{FailureCode::UNREACHABLE, kj::mv(text), HttpProblem::Again::yes};
    case CURLE_COULDNT_RESOLVE_PROXY:
      return HttpProblem{FailureCode::UNREACHABLE, kj::str("the proxy: ", text),
                         HttpProblem::Again::no};
    case CURLE_SSL_CERTPROBLEM:
      return HttpProblem{FailureCode::UNREACHABLE, kj::str("our client certificate: ", text),
                         HttpProblem::Again::no};
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CACERT_BADFILE:
      return HttpProblem{FailureCode::UNREACHABLE, kj::str("no trustworthy TLS connection: ", text),
                         HttpProblem::Again::no};
    default:
      return HttpProblem{FailureCode::UNREACHABLE, kj::mv(text), HttpProblem::Again::no};
  }
}

void HttpTransfer::finish(CURLcode code) {
  KJ_IF_MAYBE (exception, thrown) {
    done->reject(kj::mv(*exception));
  } else {
    done->fulfill(outcome(code));
  }
}

}  // namespace bulkhead
