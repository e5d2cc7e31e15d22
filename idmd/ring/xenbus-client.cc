// SPDX-License-Identifier: Apache-2.0
#include "idmd/ring/xenbus-client.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <kj/debug.h>

namespace bulkhead {
namespace {

// Message types of xen/io/xs_wire.h, part of Xen's stable interface.
constexpr uint32_t kRead = 2;
constexpr uint32_t kWrite = 11;
constexpr uint32_t kRemove = 13;
constexpr uint32_t kWatchEvent = 15;
constexpr uint32_t kError = 16;

// XENSTORE_PAYLOAD_MAX
constexpr uint32_t kPayloadMax = 4096;

struct Header {
  uint32_t type;
  uint32_t request;
  uint32_t transaction;
  uint32_t length;
};
static_assert(sizeof(Header) == 16);

kj::Array<kj::byte> path(kj::StringPtr text) {
  return kj::heapArray<kj::byte>(reinterpret_cast<const kj::byte*>(text.begin()), text.size() + 1);
}

}  // namespace

struct XenbusClient::Reply {
  uint32_t type;
  kj::Array<char> payload;

  // The errno's name, for a reply that says no; empty for any other.
  kj::String error() const {
    if (type != kError) return nullptr;
    size_t length = payload.size();
    while (length > 0 && payload[length - 1] == '\0') --length;
    return kj::str(payload.slice(0, length));
  }
};

XenbusClient::XenbusClient(kj::UnixEventPort& eventPort, int fd)
    : fd(fd), observer(eventPort, fd, kj::UnixEventPort::FdObserver::OBSERVE_READ) {}

kj::Promise<kj::String> XenbusClient::read(kj::StringPtr name) {
  auto reply = co_await request(kRead, path(name));
  auto error = reply.error();
  KJ_REQUIRE(error.size() == 0, "xenstore refused a read", error);
  co_return kj::str(reply.payload);
}

kj::Promise<void> XenbusClient::write(kj::StringPtr name, kj::StringPtr value) {
  auto payload = kj::heapArray<kj::byte>(name.size() + 1 + value.size());
  memcpy(payload.begin(), name.begin(), name.size() + 1);
  memcpy(payload.slice(name.size() + 1, payload.size()).begin(), value.begin(), value.size());
  auto reply = co_await request(kWrite, kj::mv(payload));
  auto error = reply.error();
  KJ_REQUIRE(error.size() == 0, "xenstore refused a write", error);
}

kj::Promise<void> XenbusClient::remove(kj::StringPtr name) {
  auto reply = co_await request(kRemove, path(name));
  auto error = reply.error();
  KJ_REQUIRE(error.size() == 0 || error == "ENOENT", "xenstore refused a removal", error);
}

kj::Promise<XenbusClient::Reply> XenbusClient::request(uint32_t type, kj::Array<kj::byte> payload) {
  KJ_REQUIRE(payload.size() <= kPayloadMax);
  Header header{type, ++lastRequest, 0, static_cast<uint32_t>(payload.size())};
  auto message = kj::heapArray<kj::byte>(sizeof header + payload.size());
  memcpy(message.begin(), &header, sizeof header);
  memcpy(message.slice(sizeof header, message.size()).begin(), payload.begin(), payload.size());
  // The device takes a whole message at once or fails.
  ssize_t written;
  KJ_SYSCALL(written = ::write(fd, message.begin(), message.size()), "writing to xenbus");
  KJ_REQUIRE(static_cast<size_t>(written) == message.size(), "xenbus took part of a message");

  for (;;) {
    Header answer;
    co_await readFully(kj::arrayPtr(reinterpret_cast<kj::byte*>(&answer), sizeof answer));
    KJ_REQUIRE(answer.length <= kPayloadMax, "xenbus gave an impossible length", answer.length);
    auto body = kj::heapArray<char>(answer.length);
    co_await readFully(body.asBytes());
    // A watch that someone had on this descriptor before is of no interest.
    if (answer.type == kWatchEvent) continue;
    KJ_REQUIRE(answer.type == type || answer.type == kError, "xenbus answered something else");
    co_return Reply{answer.type, kj::mv(body)};
  }
}

kj::Promise<void> XenbusClient::readFully(kj::ArrayPtr<kj::byte> into) {
  while (into.size() > 0) {
    ssize_t count = ::read(fd, into.begin(), into.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) {
      co_await observer.whenBecomesReadable();
      continue;
    }
    if (count < 0) KJ_FAIL_SYSCALL("reading from xenbus", errno);
    KJ_REQUIRE(count > 0, "xenbus ended");
    into = into.slice(static_cast<size_t>(count), into.size());
  }
}

}  // namespace bulkhead
