// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <libmnl/libmnl.h>

#include <kj/array.h>
#include <kj/function.h>
#include <kj/io.h>
#include <kj/vector.h>

namespace bulkhead {

// One netlink message under construction, on a buffer of its own.
class NetlinkMessage {
 public:
  static constexpr size_t kCapacity = 4096;

  // `header` is the size of the protocol's fixed header; `header<T>()` fills it in.
  NetlinkMessage(uint16_t type, uint16_t flags);
  KJ_DISALLOW_COPY_AND_MOVE(NetlinkMessage);

  template <typename T>
  T& header() {
    return *static_cast<T*>(mnl_nlmsg_put_extra_header(message, sizeof(T)));
  }

  NetlinkMessage& put(uint16_t type, kj::ArrayPtr<const kj::byte> value);
  NetlinkMessage& put(uint16_t type, kj::StringPtr text);  // with its NUL
  NetlinkMessage& put32(uint16_t type, uint32_t value);    // in the host's order

  // Everything that `fill` puts becomes the content of one attribute.
  template <typename Func>
  NetlinkMessage& nest(uint16_t type, Func&& fill) {
    nlattr* start = mnl_attr_nest_start(message, type);
    fill();
    mnl_attr_nest_end(message, start);
    return *this;
  }

  nlmsghdr& raw() { return *message; }
  kj::ArrayPtr<const kj::byte> bytes() const { return kj::arrayPtr(buffer, message->nlmsg_len); }

 private:
  alignas(8) kj::byte buffer[kCapacity];
  nlmsghdr* message;

  void requireRoom(size_t size) const;
};

// The first attribute of that type behind the message's fixed header, or inside another attribute;
// null when there is none.
const nlattr* findAttribute(const nlmsghdr& message, size_t headerSize, uint16_t type);
const nlattr* findAttribute(const nlattr* in, uint16_t type);

// A netlink socket whose peer is the kernel. Requests are answered before the kernel returns from
// the send, so that nothing here ever waits: an answer that is not there has been lost, and the
// request fails. What came by multicast is an event and is kept for `takeEvents`; an event may bear
// the number of the request that caused it, so that the number alone does not tell an answer.
// Datagrams that the kernel did not send are ignored.
class NetlinkSocket {
 public:
  // Opens a socket of the network namespace this process is in. `groups` is the bit mask of
  // multicast groups to listen to.
  NetlinkSocket(int protocol, uint32_t groups);

  // Uses one that was passed, bound already.
  explicit NetlinkSocket(kj::AutoCloseFd fd);

  KJ_DISALLOW_COPY_AND_MOVE(NetlinkSocket);

  using Receive = kj::Function<void(const nlmsghdr&)>;

  // Sends one request and gives every message that answers it to `receive`. Throws a kj exception
  // with the kernel's error; `errorOf` finds its number.
  void request(NetlinkMessage& message, Receive receive);
  void request(NetlinkMessage& message) {
    request(message, [](const nlmsghdr&) {});
  }

  // As `request`, but returns the error's number, 0 for success.
  int tryRequest(NetlinkMessage& message, Receive receive);
  int tryRequest(NetlinkMessage& message) {
    return tryRequest(message, [](const nlmsghdr&) {});
  }

  // Sends a batch of messages in one piece. The one numbered `last` must ask for an
  // acknowledgement. Returns the first error's number, 0 for success.
  int tryBatch(kj::ArrayPtr<const kj::byte> batch, uint32_t last);

  // A number for the next message of a batch.
  uint32_t nextSequence() { return ++sequence; }

  // Reads what is there without waiting. Gives every event to `receive`; returns false when some
  // were lost, so that the state has to be looked at as a whole.
  bool takeEvents(Receive receive);

  int fd() const { return socket.get(); }

 private:
  kj::AutoCloseFd socket;
  uint32_t sequence;
  kj::Array<kj::byte> inbox;
  kj::Vector<kj::Array<kj::byte>> events;
  bool lostEvents = false;

  struct Datagram {
    kj::ArrayPtr<const kj::byte> bytes;  // in the inbox, until the next read
    enum class Kind { answer, event } kind;
  };

  void send(kj::ArrayPtr<const kj::byte> bytes);
  kj::Maybe<Datagram> read();
  void keepEvents(const Datagram& datagram);
  int collect(uint32_t from, uint32_t last, Receive& receive);
};

}  // namespace bulkhead
