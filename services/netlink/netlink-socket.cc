// SPDX-License-Identifier: Apache-2.0
#include "services/netlink/netlink-socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <kj/debug.h>

namespace bulkhead {
namespace {

// The kernel makes dump messages no larger than what the reader offers, up to 32 KiB.
constexpr size_t kInbox = 64 << 10;

// Events wait here while a burst of vifs is handled, and a batch leaves in one piece.
constexpr int kReceiveBuffer = 4 << 20;
constexpr int kSendBuffer = 16 << 20;

// More events than this are not kept: looking at everything anew is then cheaper.
constexpr size_t kMostEvents = 4096;

kj::AutoCloseFd openSocket(int protocol, uint32_t groups) {
  int raw;
  KJ_SYSCALL(raw = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol),
             "no such netlink protocol: is the kernel module loaded?", protocol);
  kj::AutoCloseFd fd(raw);
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = groups;
  KJ_SYSCALL(bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address));
  return fd;
}

void growBuffers(int fd) {
  // The forced sizes want CAP_NET_ADMIN; without them the system's limits hold.
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBuffer, sizeof kReceiveBuffer) != 0) {
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &kReceiveBuffer, sizeof kReceiveBuffer);
  }
  if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &kSendBuffer, sizeof kSendBuffer) != 0) {
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &kSendBuffer, sizeof kSendBuffer);
  }
}

// A socket that was passed has been used by the process before us: its answers must not be taken
// for ours.
uint32_t firstSequence() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint32_t>(now.tv_sec * 1000 + now.tv_nsec / 1'000'000) << 8 | 1;
}

}  // namespace

NetlinkMessage::NetlinkMessage(uint16_t type, uint16_t flags)
    : message(mnl_nlmsg_put_header(buffer)) {
  message->nlmsg_type = type;
  message->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
}

void NetlinkMessage::requireRoom(size_t size) const {
  KJ_REQUIRE(message->nlmsg_len + size + 2 * MNL_ATTR_HDRLEN + 8 <= kCapacity,
             "a netlink message is too long");
}

NetlinkMessage& NetlinkMessage::put(uint16_t type, kj::ArrayPtr<const kj::byte> value) {
  requireRoom(value.size());
  mnl_attr_put(message, type, value.size(), value.begin());
  return *this;
}

NetlinkMessage& NetlinkMessage::put(uint16_t type, kj::StringPtr text) {
  requireRoom(text.size() + 1);
  mnl_attr_put_strz(message, type, text.cStr());
  return *this;
}

NetlinkMessage& NetlinkMessage::put32(uint16_t type, uint32_t value) {
  requireRoom(sizeof value);
  mnl_attr_put_u32(message, type, value);
  return *this;
}

namespace {

const nlattr* findAmong(kj::ArrayPtr<const kj::byte> bytes, uint16_t type) {
  for (;;) {
    auto* attr = reinterpret_cast<const nlattr*>(bytes.begin());
    if (!mnl_attr_ok(attr, static_cast<int>(bytes.size()))) return nullptr;
    if (mnl_attr_get_type(attr) == type) return attr;
    size_t taken = MNL_ALIGN(attr->nla_len);
    if (taken > bytes.size()) return nullptr;
    bytes = bytes.slice(taken, bytes.size());
  }
}

}  // namespace

const nlattr* findAttribute(const nlmsghdr& message, size_t headerSize, uint16_t type) {
  size_t size = mnl_nlmsg_get_payload_len(&message);
  size_t header = MNL_ALIGN(headerSize);
  if (size < header) return nullptr;
  auto* begin = static_cast<const kj::byte*>(mnl_nlmsg_get_payload_offset(&message, header));
  return findAmong(kj::arrayPtr(begin, size - header), type);
}

const nlattr* findAttribute(const nlattr* in, uint16_t type) {
  if (in == nullptr) return nullptr;
  auto* begin = static_cast<const kj::byte*>(mnl_attr_get_payload(in));
  return findAmong(kj::arrayPtr(begin, mnl_attr_get_payload_len(in)), type);
}

NetlinkSocket::NetlinkSocket(int protocol, uint32_t groups)
    : NetlinkSocket(openSocket(protocol, groups)) {}

NetlinkSocket::NetlinkSocket(kj::AutoCloseFd fd)
    : socket(kj::mv(fd)), sequence(firstSequence()), inbox(kj::heapArray<kj::byte>(kInbox)) {
  growBuffers(socket);
}

void NetlinkSocket::send(kj::ArrayPtr<const kj::byte> bytes) {
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  ssize_t sent;
  KJ_SYSCALL(sent = sendto(socket, bytes.begin(), bytes.size(), MSG_DONTWAIT,
                           reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel));
  KJ_ASSERT(sent == static_cast<ssize_t>(bytes.size()));
}

// The next datagram; null when there is none. A loss is noted, and reading goes on.
kj::Maybe<NetlinkSocket::Datagram> NetlinkSocket::read() {
  for (;;) {
    sockaddr_nl sender{};
    socklen_t size = sizeof sender;
    ssize_t got = recvfrom(socket, inbox.begin(), inbox.size(), MSG_DONTWAIT,
                           reinterpret_cast<sockaddr*>(&sender), &size);
    if (got < 0) {
      int error = errno;
      if (error == EAGAIN) return nullptr;
      if (error == EINTR) continue;
      if (error == ENOBUFS) {
        lostEvents = true;
        continue;
      }
      KJ_FAIL_SYSCALL("recvfrom(netlink)", error);
    }
    if (sender.nl_pid != 0) continue;
    return Datagram{inbox.slice(0, static_cast<size_t>(got)),
                    sender.nl_groups == 0 ? Datagram::Kind::answer : Datagram::Kind::event};
  }
}

void NetlinkSocket::keepEvents(const Datagram& datagram) {
  int left = static_cast<int>(datagram.bytes.size());
  auto* message = reinterpret_cast<const nlmsghdr*>(datagram.bytes.begin());
  for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
    if (events.size() >= kMostEvents) {
      lostEvents = true;
      return;
    }
    auto* begin = reinterpret_cast<const kj::byte*>(message);
    events.add(kj::heapArray(kj::arrayPtr(begin, message->nlmsg_len)));
  }
}

// Reads until the message numbered `last` is answered. Errors of the messages from `from` on count.
int NetlinkSocket::collect(uint32_t from, uint32_t last, Receive& receive) {
  int firstError = 0;
  bool answered = false;
  for (;;) {
    kj::ArrayPtr<const kj::byte> datagram;
    KJ_IF_MAYBE (next, read()) {
      if (next->kind == Datagram::Kind::event) {
        keepEvents(*next);
        continue;
      }
      datagram = next->bytes;
    } else {
      break;
    }
    int left = static_cast<int>(datagram.size());
    auto* message = reinterpret_cast<const nlmsghdr*>(datagram.begin());
    for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
      if (message->nlmsg_seq - from > last - from) continue;  // to a request of a former process
      if (message->nlmsg_type == NLMSG_ERROR) {
        if (mnl_nlmsg_get_payload_len(message) < sizeof(nlmsgerr)) continue;
        int error = -static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(message))->error;
        if (error != 0 && firstError == 0) firstError = error;
        answered = answered || message->nlmsg_seq == last;
      } else if (message->nlmsg_type == NLMSG_DONE) {
        answered = true;
      } else {
        receive(*message);
      }
    }
    if (answered && from == last) return firstError;
  }
  // A batch that fails is answered by the errors of its messages alone.
  if (firstError != 0 || answered) return firstError;
  return EIO;
}

int NetlinkSocket::tryRequest(NetlinkMessage& message, Receive receive) {
  auto& header = message.raw();
  header.nlmsg_flags |= NLM_F_ACK;
  header.nlmsg_seq = nextSequence();
  send(message.bytes());
  return collect(header.nlmsg_seq, header.nlmsg_seq, receive);
}

void NetlinkSocket::request(NetlinkMessage& message, Receive receive) {
  int error = tryRequest(message, kj::mv(receive));
  if (error != 0) KJ_FAIL_SYSCALL("netlink request", error, message.raw().nlmsg_type);
}

int NetlinkSocket::tryBatch(kj::ArrayPtr<const kj::byte> batch, uint32_t last) {
  auto first = reinterpret_cast<const nlmsghdr*>(batch.begin())->nlmsg_seq;
  send(batch);
  Receive ignore = [](const nlmsghdr&) {};
  return collect(first, last, ignore);
}

bool NetlinkSocket::takeEvents(Receive receive) {
  KJ_DEFER(lostEvents = false);
  for (;;) {
    KJ_IF_MAYBE (datagram, read()) {
      if (datagram->kind == Datagram::Kind::event) keepEvents(*datagram);
    } else {
      break;
    }
  }
  // `receive` may make requests, which may bring new events: they are for the next time.
  auto taken = kj::mv(events);
  events = {};
  bool complete = !lostEvents;
  for (auto& event : taken) receive(*reinterpret_cast<const nlmsghdr*>(event.begin()));
  return complete;
}

}  // namespace bulkhead
