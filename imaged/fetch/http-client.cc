// SPDX-License-Identifier: Apache-2.0
#include "imaged/fetch/http-client.h"

#include <netdb.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <kj/debug.h>

namespace bulkhead {
namespace {

// To one server at a time; those that speak HTTP/2 need one.
constexpr long kMostConnections = 6;

}  // namespace

// A request's place in the multi handle; both end together.
class HttpClient::Running {
 public:
  Running(HttpClient& client, HttpRequest request, kj::Own<kj::PromiseFulfiller<HttpOutcome>> done)
      : client(client), transfer(kj::mv(request), kj::mv(done)) {
    client.transfers.add(&transfer);
    client.shareRate();
    KJ_REQUIRE(curl_multi_add_handle(client.multi, transfer.handle()) == CURLM_OK);
    client.start();
  }
  ~Running() noexcept(false) { client.remove(transfer); }
  KJ_DISALLOW_COPY_AND_MOVE(Running);

 private:
  HttpClient& client;
  HttpTransfer transfer;
};

HttpClient::HttpClient(kj::UnixEventPort& port, kj::Timer& timer)
    : timer(timer),
      multi(curl_multi_init()),
      sockets(epoll_create1(EPOLL_CLOEXEC)),
      observer(port, sockets, kj::UnixEventPort::FdObserver::OBSERVE_READ) {
  KJ_REQUIRE(multi != nullptr && sockets.get() >= 0);
  curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, &HttpClient::onSocket);
  curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, this);
  curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, &HttpClient::onTimer);
  curl_multi_setopt(multi, CURLMOPT_TIMERDATA, this);
  curl_multi_setopt(multi, CURLMOPT_PIPELINING, static_cast<long>(CURLPIPE_MULTIPLEX));
  curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, kMostConnections);
  // A multi handle learns from its first request to leave signals alone. One that ends without any
  // would touch SIGPIPE, which the sandbox forbids.
  CURL* first = curl_easy_init();
  KJ_REQUIRE(first != nullptr, "no memory for a transfer");
  KJ_DEFER(curl_easy_cleanup(first));
  curl_easy_setopt(first, CURLOPT_NOSIGNAL, 1L);
  curl_multi_add_handle(multi, first);
  curl_multi_remove_handle(multi, first);
}

HttpClient::~HttpClient() noexcept(false) {
  pumping = nullptr;
  curl_multi_cleanup(multi);
}

void HttpClient::prepare() {
  KJ_REQUIRE(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK, "libcurl cannot start");
  // Loads the name service's modules, which the sandbox would not.
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo("localhost", "443", &hints, &found) == 0) freeaddrinfo(found);
}

kj::Promise<HttpOutcome> HttpClient::send(HttpRequest request) {
  auto answer = kj::newPromiseAndFulfiller<HttpOutcome>();
  Running running(*this, kj::mv(request), kj::mv(answer.fulfiller));
  co_return co_await answer.promise;
}

void HttpClient::limitRate(uint64_t limit) {
  bytesPerSecond = limit;
  shareRate();
}

void HttpClient::shareRate() {
  if (bytesPerSecond == 0) return;
  uint64_t streams = 0;
  for (auto* transfer : transfers) streams += transfer->isStream() ? 1 : 0;
  for (auto* transfer : transfers) {
    if (transfer->isStream()) transfer->limitRate(kj::max(bytesPerSecond / streams, 1u));
  }
}

void HttpClient::remove(HttpTransfer& transfer) {
  curl_multi_remove_handle(multi, transfer.handle());
  kj::Vector<HttpTransfer*> others;
  for (auto* other : transfers) {
    if (other != &transfer) others.add(other);
  }
  transfers = kj::mv(others);
  shareRate();
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
  KJ_IF_MAYBE (fulfiller, self.timeChanged) {
    (*fulfiller)->fulfill();
  }
  return 0;
}

void HttpClient::start() {
  if (state == Pump::busy) return;
  state = Pump::busy;
  pumping = pump().eagerlyEvaluate([this](kj::Exception&& exception) {
    for (auto* transfer : transfers) transfer->fail(kj::cp(exception));
  });
}

// Hands libcurl what its sockets have to say; whether there was anything.
bool HttpClient::serveSockets() {
  epoll_event events[16];
  int count = epoll_pwait(sockets, events, 16, 0, nullptr);
  int running = 0;
  for (auto& event : kj::arrayPtr(events, static_cast<size_t>(kj::max(count, 0)))) {
    int flags = 0;
    if (event.events & EPOLLIN) flags |= CURL_CSELECT_IN;
    if (event.events & EPOLLOUT) flags |= CURL_CSELECT_OUT;
    if (event.events & (EPOLLERR | EPOLLHUP)) flags |= CURL_CSELECT_ERR;
    curl_multi_socket_action(multi, event.data.fd, flags, &running);
  }
  return count > 0;
}

void HttpClient::collect() {
  int left = 0;
  while (CURLMsg* message = curl_multi_info_read(multi, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    // The message does not live longer than the handle's place in the multi handle.
    auto result = message->data.result;
    HttpTransfer::of(message->easy_handle).finish(result);
  }
}

kj::Promise<void> HttpClient::wait() {
  auto changed = kj::newPromiseAndFulfiller<void>();
  timeChanged = kj::mv(changed.fulfiller);
  auto woken = observer.whenBecomesReadable().exclusiveJoin(kj::mv(changed.promise));
  KJ_IF_MAYBE (when, wakeAt) {
    return woken.exclusiveJoin(timer.atTime(*when));
  }
  return woken;
}

kj::Promise<void> HttpClient::pump() {
  KJ_DEFER(state = Pump::idle);
  while (transfers.size() > 0) {
    bool due = false;
    KJ_IF_MAYBE (when, wakeAt) {
      due = *when <= timer.now();
    }
    if (due) {
      int running = 0;
      wakeAt = nullptr;
      curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    bool busy = serveSockets();
    collect();
    if (due || busy) {
      // Others on the loop have their turn.
      co_await timer.afterDelay(0 * kj::NANOSECONDS);
    } else {
      co_await wait();
    }
  }
}

}  // namespace bulkhead
