// SPDX-License-Identifier: Apache-2.0
#include "imaged/fetch/http-client.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <kj/debug.h>

#include "imaged/fetch/address-policy.h"
#include "imaged/reference.h"

namespace bulkhead {
namespace {

constexpr long kConnectMilliseconds = 10'000;
constexpr long kLowSpeedBytes = 1024;
constexpr long kLowSpeedSeconds = 30;
constexpr size_t kMostHeaders = 64u << 10;

template <typename T>
void set(CURL* easy, CURLoption option, T value) {
  auto result = curl_easy_setopt(easy, option, value);
  KJ_REQUIRE(result == CURLE_OK, "libcurl refuses an option", static_cast<int>(option),
             curl_easy_strerror(result));
}

kj::String urlPart(CURLU* handle, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(handle, part, &text, flags) != CURLUE_OK) return kj::String();
  KJ_DEFER(curl_free(text));
  return kj::str(static_cast<const char*>(text));
}

// Owns a parsed URL.
class Url {
 public:
  Url(kj::StringPtr text, kj::StringPtr subject) : handle(curl_url()) {
    KJ_REQUIRE(handle != nullptr);
    set(text, subject);
  }
  ~Url() { curl_url_cleanup(handle); }
  KJ_DISALLOW_COPY_AND_MOVE(Url);

  // An absolute URL, or one relative to what is there already.
  void set(kj::StringPtr text, kj::StringPtr subject) {
    for (char c : text) {
      auto byte = static_cast<unsigned char>(c);
      if (byte <= 0x20 || byte >= 0x7f) {
        fail(FailureCode::INVALID, subject,
             kj::str("the registry names the URL '", printable(text, 256), "'"));
      }
    }
    if (curl_url_set(handle, CURLUPART_URL, text.cStr(), 0) != CURLUE_OK) {
      fail(FailureCode::INVALID, subject,
           kj::str("the registry names the URL '", printable(text, 256), "'"));
    }
  }
  CURLU* get() { return handle; }

 private:
  CURLU* handle;
};

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

struct HttpClient::Transfer {
  HttpRequest request;
  HttpResponse response;
  CURL* easy = curl_easy_init();
  curl_slist* headers = nullptr;
  char errorText[CURL_ERROR_SIZE] = {};
  kj::String refusedAddress;
  kj::String refusal;
  size_t headerBytes = 0;
  kj::Maybe<kj::Exception> thrown;
  kj::Maybe<CURLcode> result;

  explicit Transfer(HttpRequest requestParam) : request(kj::mv(requestParam)) {
    KJ_REQUIRE(easy != nullptr, "no memory for a transfer");
  }
  ~Transfer() noexcept(false) {
    curl_easy_cleanup(easy);
    curl_slist_free_all(headers);
  }
  KJ_DISALLOW_COPY_AND_MOVE(Transfer);

  void addHeader(kj::StringPtr line) {
    auto* longer = curl_slist_append(headers, line.cStr());
    KJ_REQUIRE(longer != nullptr, "no memory for a header");
    headers = longer;
  }

  static size_t onHeader(char* data, size_t size, size_t count, void* opaque) {
    auto& self = *static_cast<Transfer*>(opaque);
    size_t length = size * count;
    self.headerBytes += length;
    if (self.headerBytes > kMostHeaders) {
      self.refusal = kj::str("the headers have more than ", kMostHeaders, " bytes");
      return 0;
    }
    while (length > 0 && (data[length - 1] == '\r' || data[length - 1] == '\n')) --length;
    auto line = kj::heapString(data, length);
    auto& r = self.response;
    kj::String challenge;
    if (takeHeader(line, "Content-Type", r.contentType)) {
    } else if (takeHeader(line, "Location", r.location)) {
    } else if (takeHeader(line, "Content-Range", r.contentRange)) {
    } else if (takeHeader(line, "Retry-After", r.retryAfter)) {
    } else if (takeHeader(line, "Docker-Content-Digest", r.contentDigest)) {
    } else if (takeHeader(line, "WWW-Authenticate", challenge))
      r.challenges.add(kj::mv(challenge));
    return size * count;
  }

  static size_t onBody(char* data, size_t size, size_t count, void* opaque) {
    auto& self = *static_cast<Transfer*>(opaque);
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

  static curl_socket_t onOpenSocket(void* opaque, curlsocktype, curl_sockaddr* address) {
    auto& self = *static_cast<Transfer*>(opaque);
    auto allowed = self.request.loopbackHost.size() > 0 ? Loopback::allowed : Loopback::refused;
    if (!mayConnectTo(&address->addr, allowed)) {
      self.refusedAddress = describeAddress(&address->addr);
      return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  }

  void configure(kj::ArrayPtr<const kj::byte> trusted) {
    set(easy, CURLOPT_URL, request.url.cStr());
    set(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    set(easy, CURLOPT_FOLLOWLOCATION, 0L);
    set(easy, CURLOPT_PROXY, "");
    set(easy, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
    set(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    set(easy, CURLOPT_NOSIGNAL, 1L);
    set(easy, CURLOPT_USERAGENT, "bulkhead-imaged");
    set(easy, CURLOPT_CONNECTTIMEOUT_MS, kConnectMilliseconds);
    set(easy, CURLOPT_LOW_SPEED_LIMIT, kLowSpeedBytes);
    set(easy, CURLOPT_LOW_SPEED_TIME, kLowSpeedSeconds);
    set(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(request.deadline / kj::MILLISECONDS));
    set(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    set(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    set(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    if (trusted.size() > 0) {
      curl_blob blob{const_cast<kj::byte*>(trusted.begin()), trusted.size(), CURL_BLOB_NOCOPY};
      set(easy, CURLOPT_CAINFO_BLOB, &blob);
    }
    set(easy, CURLOPT_CAPATH, static_cast<char*>(nullptr));
    set(easy, CURLOPT_BUFFERSIZE, 256L << 10);
    set(easy, CURLOPT_ERRORBUFFER, errorText);
    set(easy, CURLOPT_HEADERFUNCTION, &Transfer::onHeader);
    set(easy, CURLOPT_HEADERDATA, this);
    set(easy, CURLOPT_WRITEFUNCTION, &Transfer::onBody);
    set(easy, CURLOPT_WRITEDATA, this);
    set(easy, CURLOPT_OPENSOCKETFUNCTION, &Transfer::onOpenSocket);
    set(easy, CURLOPT_OPENSOCKETDATA, this);
    for (const auto& header : request.headers) addHeader(header);
    KJ_IF_MAYBE (authorization, request.authorization) {
      addHeader(kj::str("Authorization: ", authorization->reveal()));
    }
    set(easy, CURLOPT_HTTPHEADER, headers);
  }

  kj::OneOf<HttpResponse, HttpProblem> outcome() {
    KJ_IF_MAYBE (exception, thrown) {
      kj::throwFatalException(kj::mv(*exception));
    }
    auto code = KJ_ASSERT_NONNULL(result);
    if (code == CURLE_OK) {
      long status = 0;
      curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
      response.status = status;
      return kj::mv(response);
    }
    auto text = kj::str(errorText[0] != 0 ? errorText : curl_easy_strerror(code));
    if (refusal.size() > 0) {
      return HttpProblem{FailureCode::EXHAUSTED, kj::mv(refusal), HttpProblem::Again::no};
    }
    if (refusedAddress.size() > 0) {
      return HttpProblem{
          FailureCode::DENIED,
          kj::str("its address ", refusedAddress, " is one that no registry may have"),
          HttpProblem::Again::no};
    }
    switch (code) {
      case CURLE_COULDNT_RESOLVE_HOST:
      case CURLE_COULDNT_CONNECT:
        return HttpProblem{FailureCode::UNREACHABLE, kj::mv(text), HttpProblem::Again::no};
      case CURLE_OPERATION_TIMEDOUT: {
        curl_off_t connected = 0;
        curl_easy_getinfo(easy, CURLINFO_CONNECT_TIME_T, &connected);
        return HttpProblem{connected > 0 ? FailureCode::TIMEOUT : FailureCode::UNREACHABLE,
                           kj::mv(text), HttpProblem::Again::no};
      }
      case CURLE_PARTIAL_FILE:
      case CURLE_RECV_ERROR:
      case CURLE_SEND_ERROR:
      case CURLE_GOT_NOTHING:
        return HttpProblem{FailureCode::UNREACHABLE, kj::mv(text), HttpProblem::Again::yes};
      case CURLE_PEER_FAILED_VERIFICATION:
      case CURLE_SSL_CONNECT_ERROR:
      case CURLE_SSL_CACERT_BADFILE:
        return HttpProblem{FailureCode::UNREACHABLE,
                           kj::str("no trustworthy TLS connection: ", text),
                           HttpProblem::Again::no};
      default:
        return HttpProblem{FailureCode::UNREACHABLE, kj::mv(text), HttpProblem::Again::no};
    }
  }
};

kj::String UrlParts::authority() const {
  // As a StringPtr: an empty String has no characters to be looked at, not even none.
  bool isName = kj::StringPtr(host).findFirst(':') == nullptr;
  return isName ? kj::str(host, ":", port) : kj::str("[", host, "]:", port);
}

bool UrlParts::sameOrigin(const UrlParts& other) const {
  return scheme == other.scheme && host == other.host && port == other.port;
}

UrlParts parseUrl(kj::StringPtr text, kj::StringPtr subject) {
  Url url(text, subject);
  auto host = urlPart(url.get(), CURLUPART_HOST);
  if (host.startsWith("[") && host.endsWith("]")) {
    host = kj::str(host.slice(1, host.size() - 1));
  }
  bool hasUser = urlPart(url.get(), CURLUPART_USER).size() > 0 ||
                 urlPart(url.get(), CURLUPART_PASSWORD).size() > 0;
  for (char& c : host.asArray()) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return {urlPart(url.get(), CURLUPART_SCHEME), kj::mv(host),
          urlPart(url.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT), hasUser};
}

kj::String resolveUrl(kj::StringPtr base, kj::StringPtr location, kj::StringPtr subject) {
  Url url(base, subject);
  url.set(location, subject);
  return urlPart(url.get(), CURLUPART_URL);
}

kj::String urlEscaped(kj::StringPtr text) {
  char* escaped = curl_easy_escape(nullptr, text.cStr(), static_cast<int>(text.size()));
  KJ_REQUIRE(escaped != nullptr);
  KJ_DEFER(curl_free(escaped));
  return kj::str(static_cast<const char*>(escaped));
}

HttpClient::HttpClient(kj::UnixEventPort& port, kj::Timer& timer,
                       kj::ArrayPtr<const kj::byte> certificates)
    : timer(timer),
      certificates(certificates),
      multi(curl_multi_init()),
      sockets(epoll_create1(EPOLL_CLOEXEC)),
      observer(port, sockets, kj::UnixEventPort::FdObserver::OBSERVE_READ) {
  KJ_REQUIRE(multi != nullptr && sockets.get() >= 0);
  curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, &HttpClient::onSocket);
  curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, this);
  curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, &HttpClient::onTimer);
  curl_multi_setopt(multi, CURLMOPT_TIMERDATA, this);
}

HttpClient::~HttpClient() noexcept(false) { curl_multi_cleanup(multi); }

void HttpClient::prepare() {
  KJ_REQUIRE(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK, "libcurl cannot start");
  // Loads the name service's modules, which the sandbox would not.
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo("localhost", "443", &hints, &found) == 0) freeaddrinfo(found);
}

int HttpClient::onSocket(CURL*, curl_socket_t fd, int what, void* opaque, void*) {
  auto& self = *static_cast<HttpClient*>(opaque);
  if (what == CURL_POLL_REMOVE) {
    // Gone already where libcurl has closed it.
    epoll_ctl(self.sockets, EPOLL_CTL_DEL, fd, nullptr);
    return 0;
  }
  epoll_event event{};
  event.data.fd = fd;
  if (what & CURL_POLL_IN) event.events |= EPOLLIN;
  if (what & CURL_POLL_OUT) event.events |= EPOLLOUT;
  if (epoll_ctl(self.sockets, EPOLL_CTL_MOD, fd, &event) != 0) {
    epoll_ctl(self.sockets, EPOLL_CTL_ADD, fd, &event);
  }
  return 0;
}

int HttpClient::onTimer(CURLM*, long milliseconds, void* opaque) {
  auto& self = *static_cast<HttpClient*>(opaque);
  if (milliseconds < 0) {
    self.wakeAt = nullptr;
  } else {
    self.wakeAt = self.timer.now() + milliseconds * kj::MILLISECONDS;
  }
  return 0;
}

kj::Promise<void> HttpClient::drive(Transfer& transfer) {
  int running = 0;
  curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
  for (;;) {
    int left = 0;
    while (CURLMsg* message = curl_multi_info_read(multi, &left)) {
      if (message->msg == CURLMSG_DONE) transfer.result = message->data.result;
    }
    if (transfer.result != nullptr) co_return;

    epoll_event events[8];
    int count = epoll_pwait(sockets, events, 8, 0, nullptr);
    if (count > 0) {
      for (int i = 0; i < count; ++i) {
        int flags = 0;
        if (events[i].events & EPOLLIN) flags |= CURL_CSELECT_IN;
        if (events[i].events & EPOLLOUT) flags |= CURL_CSELECT_OUT;
        if (events[i].events & (EPOLLERR | EPOLLHUP)) flags |= CURL_CSELECT_ERR;
        curl_multi_socket_action(multi, events[i].data.fd, flags, &running);
      }
      // Others on the loop have their turn.
      co_await timer.afterDelay(0 * kj::NANOSECONDS);
      continue;
    }
    auto ready = observer.whenBecomesReadable();
    KJ_IF_MAYBE (when, wakeAt) {
      auto at = *when;
      bool timedOut =
          co_await ready.then([]() { return false; }).exclusiveJoin(timer.atTime(at).then([]() {
            return true;
          }));
      if (timedOut) {
        wakeAt = nullptr;
        curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
      }
    } else {
      co_await ready;
    }
  }
}

kj::Promise<kj::OneOf<HttpResponse, HttpProblem>> HttpClient::get(HttpRequest request) {
  auto transfer = kj::heap<Transfer>(kj::mv(request));
  transfer->configure(certificates);
  KJ_REQUIRE(curl_multi_add_handle(multi, transfer->easy) == CURLM_OK);
  KJ_DEFER(curl_multi_remove_handle(multi, transfer->easy));
  co_await drive(*transfer);
  co_return transfer->outcome();
}

}  // namespace bulkhead
