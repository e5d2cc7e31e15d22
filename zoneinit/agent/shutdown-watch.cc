// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/agent/shutdown-watch.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <kj/debug.h>
#include <kj/vector.h>

namespace bulkhead::zone {
namespace {

constexpr kj::StringPtr kNode = "control/shutdown"_kj;
constexpr kj::StringPtr kToken = "shutdown"_kj;
constexpr uint32_t kMostPayload = 4096;  // XENSTORE_PAYLOAD_MAX

// xen/io/xs_wire.h: every message is this header and `length` bytes.
struct Header {
  uint32_t type;
  uint32_t request;
  uint32_t transaction;
  uint32_t length;
};

enum Type : uint32_t { kRead = 2, kWatch = 4, kWrite = 11, kWatchEvent = 15, kError = 16 };

struct Message {
  uint32_t type;
  kj::String payload;
};

// Requests and answers one at a time, with watch events in between.
class Wire {
 public:
  Wire(kj::UnixEventPort& eventPort, kj::AutoCloseFd fdParam)
      : fd(kj::mv(fdParam)), observer(eventPort, fd, kj::UnixEventPort::FdObserver::OBSERVE_READ) {
    KJ_SYSCALL(fcntl(fd, F_SETFL, O_NONBLOCK));
  }

  // The answer's payload; nullptr for an error of xenstore's.
  kj::Promise<kj::Maybe<kj::String>> call(uint32_t type, kj::String payload) {
    Header header{type, 1, 0, static_cast<uint32_t>(payload.size())};
    auto bytes = kj::heapArray<char>(sizeof header + payload.size());
    memcpy(bytes.begin(), &header, sizeof header);
    memcpy(bytes.slice(sizeof header, bytes.size()).begin(), payload.begin(), payload.size());
    // The driver takes a message whole.
    ssize_t written;
    KJ_SYSCALL(written = write(fd, bytes.begin(), bytes.size()), "writing to xenstore");
    KJ_REQUIRE(static_cast<size_t>(written) == bytes.size(), "xenstore took part of a request");
    for (;;) {
      auto message = co_await receive();
      if (message.type == kWatchEvent) {
        ++pendingEvents;
      } else if (message.type == kError) {
        co_return nullptr;
      } else {
        co_return kj::mv(message.payload);
      }
    }
  }

  kj::Promise<void> nextEvent() {
    while (pendingEvents == 0) {
      auto message = co_await receive();
      if (message.type == kWatchEvent) ++pendingEvents;
    }
    pendingEvents = 0;  // what is read next is newer than any of them
  }

 private:
  kj::AutoCloseFd fd;
  kj::UnixEventPort::FdObserver observer;
  unsigned pendingEvents = 0;

  kj::Promise<Message> receive() {
    Header header{};
    co_await receiveBytes(kj::arrayPtr(&header, 1).asBytes());
    KJ_REQUIRE(header.length <= kMostPayload, "xenstore sent too long a message", header.length);
    auto payload = kj::heapString(header.length);
    co_await receiveBytes(payload.asArray().asBytes());
    co_return Message{header.type, kj::mv(payload)};
  }

  kj::Promise<void> receiveBytes(kj::ArrayPtr<kj::byte> into) {
    while (into.size() > 0) {
      ssize_t n = read(fd, into.begin(), into.size());
      if (n > 0) {
        into = into.slice(static_cast<size_t>(n), into.size());
      } else if (n < 0 && errno == EAGAIN) {
        co_await observer.whenBecomesReadable();
      } else if (n == 0 || errno != EINTR) {
        KJ_FAIL_REQUIRE("the xenstore device was closed", n);
      }
    }
  }
};

kj::String terminated(kj::StringPtr a, kj::StringPtr b) { return kj::str(a, '\0', b, '\0'); }

}  // namespace

kj::Promise<kj::String> whenShutdownIsAsked(kj::UnixEventPort& eventPort, kj::AutoCloseFd xenbus) {
  Wire wire(eventPort, kj::mv(xenbus));
  auto watching = co_await wire.call(kWatch, terminated(kNode, kToken));
  KJ_REQUIRE(watching != nullptr, "xenstore refuses the watch on control/shutdown");
  for (;;) {
    co_await wire.nextEvent();
    auto value = co_await wire.call(kRead, kj::str(kNode, '\0'));
    KJ_IF_MAYBE (text, value) {
      if (text->size() > 0) {
        // The empty node tells the toolstack that the request was seen.
        co_await wire.call(kWrite, kj::str(kNode, '\0'));
        co_return kj::mv(*text);
      }
    }
  }
}

}  // namespace bulkhead::zone
