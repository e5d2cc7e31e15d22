// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async-unix.h>
#include <kj/timer.h>
#include <kj/vector.h>

#include "imaged/fetch/http-transfer.h"

namespace bulkhead {

// libcurl on the event loop. Any number of requests run side by side, over few connections: over
// one where a server speaks HTTP/2 and has been asked before.
class HttpClient {
 public:
  // Both are borrowed.
  HttpClient(kj::UnixEventPort& port, kj::Timer& timer);
  ~HttpClient() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(HttpClient);

  // The answer, whatever its status, or why there is none. What the sink throws is thrown here.
  // Dropping the promise ends the request.
  kj::Promise<HttpOutcome> send(HttpRequest request);

  // Shared evenly by all requests with a sink, those under way included; 0: no limit.
  void limitRate(uint64_t bytesPerSecond);

  // libcurl's and the resolver's own first steps read files: to be done before the sandbox.
  static void prepare();

 private:
  class Running;

  kj::Timer& timer;
  CURLM* multi;
  // libcurl wants its sockets watched level-triggered, kj watches edges: this stands in between.
  kj::AutoCloseFd sockets;
  kj::UnixEventPort::FdObserver observer;
  kj::Maybe<kj::TimePoint> wakeAt;
  kj::Maybe<kj::Own<kj::PromiseFulfiller<void>>> timeChanged;
  kj::Vector<HttpTransfer*> transfers;
  uint64_t bytesPerSecond = 0;
  enum class Pump { idle, busy } state = Pump::idle;
  kj::Promise<void> pumping = nullptr;

  static int onSocket(CURL*, curl_socket_t fd, int what, void* self, void*);
  static int onTimer(CURLM*, long milliseconds, void* self);
  void start();
  kj::Promise<void> pump();
  kj::Promise<void> wait();
  bool serveSockets();
  void collect();
  void remove(HttpTransfer& transfer);
  void shareRate();
};

}  // namespace bulkhead
