// SPDX-License-Identifier: Apache-2.0
#include "netd/test/network-namespace.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <kj/debug.h>
#include <kj/vector.h>

namespace bulkhead::net {
namespace {

kj::AutoCloseFd currentNamespace() {
  int raw;
  KJ_SYSCALL(raw = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
  return kj::AutoCloseFd(raw);
}

kj::AutoCloseFd makeNamespace() {
  auto before = currentNamespace();
  KJ_SYSCALL(unshare(CLONE_NEWNET));
  auto made = currentNamespace();
  KJ_SYSCALL(setns(before, CLONE_NEWNET));
  return made;
}

class Bytes {
 public:
  Bytes& u8(unsigned value) {
    bytes.add(static_cast<kj::byte>(value));
    return *this;
  }
  Bytes& u16(unsigned value) { return u8(value >> 8).u8(value & 0xff); }
  Bytes& all(kj::ArrayPtr<const kj::byte> more) {
    bytes.addAll(more);
    return *this;
  }
  kj::ArrayPtr<const kj::byte> get() const { return bytes; }
  void patch16(size_t at, unsigned value) {
    bytes[at] = static_cast<kj::byte>(value >> 8);
    bytes[at + 1] = static_cast<kj::byte>(value & 0xff);
  }

 private:
  kj::Vector<kj::byte> bytes;
};

// RFC 1071.
unsigned checksum(kj::ArrayPtr<const kj::byte> bytes) {
  unsigned sum = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    sum += i % 2 == 0 ? static_cast<unsigned>(bytes[i]) << 8 : bytes[i];
  }
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}

Bytes echoPacket4(const IpAddress& from, const IpAddress& to, uint16_t identifier) {
  Bytes icmp;
  icmp.u8(8).u8(0).u16(0).u16(identifier).u16(1);
  icmp.patch16(2, checksum(icmp.get()));
  Bytes packet;
  packet.u8(0x45).u8(0).u16(28).u16(identifier).u16(0).u8(64).u8(IPPROTO_ICMP).u16(0);
  packet.all(from.data()).all(to.data());
  packet.patch16(10, checksum(packet.get()));
  packet.all(icmp.get());
  return packet;
}

Bytes echoPacket6(const IpAddress& from, const IpAddress& to, uint16_t identifier) {
  Bytes icmp;
  icmp.u8(128).u8(0).u16(0).u16(identifier).u16(1);
  Bytes pseudo;
  pseudo.all(from.data()).all(to.data()).u16(0).u16(8).u16(0).u8(0).u8(IPPROTO_ICMPV6);
  pseudo.all(icmp.get());
  icmp.patch16(2, checksum(pseudo.get()));
  Bytes packet;
  packet.u8(0x60).u8(0).u16(0).u16(8).u8(IPPROTO_ICMPV6).u8(64);
  packet.all(from.data()).all(to.data()).all(icmp.get());
  return packet;
}

}  // namespace

NetworkNamespace::NetworkNamespace() : fd(makeNamespace()) { mustRun("ip link set lo up"); }

void NetworkNamespace::enter() const { KJ_SYSCALL(setns(fd, CLONE_NEWNET)); }

void NetworkNamespace::inside(kj::Function<void()> body) const {
  auto before = currentNamespace();
  enter();
  KJ_DEFER({ KJ_SYSCALL(setns(before, CLONE_NEWNET)); });
  body();
}

NetworkNamespace::Outcome NetworkNamespace::shell(kj::StringPtr command) const {
  int ends[2];
  KJ_SYSCALL(pipe2(ends, O_CLOEXEC));
  kj::AutoCloseFd output(ends[0]);
  pid_t child;
  KJ_SYSCALL(child = fork());
  if (child == 0) {
    enter();
    dup2(ends[1], STDOUT_FILENO);
    dup2(ends[1], STDERR_FILENO);
    execl("/bin/sh", "sh", "-c", command.cStr(), nullptr);
    _exit(126);
  }
  close(ends[1]);
  auto text = kj::FdInputStream(output.get()).readAllText();
  int status;
  KJ_SYSCALL(waitpid(child, &status, 0));
  return Outcome{WIFEXITED(status) ? WEXITSTATUS(status) : -1, kj::mv(text)};
}

void NetworkNamespace::mustRun(kj::StringPtr command) const {
  auto outcome = shell(command);
  KJ_REQUIRE(outcome.code == 0, "a command failed", command, outcome.code, outcome.output);
}

kj::String NetworkNamespace::path() const { return kj::str("/proc/", getpid(), "/fd/", fd.get()); }

FrameSocket::FrameSocket(const NetworkNamespace& where, kj::StringPtr device) {
  where.inside([&]() {
    int raw;
    KJ_SYSCALL(raw = ::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL)));
    socket = kj::AutoCloseFd(raw);
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL);
    address.sll_ifindex = static_cast<int>(if_nametoindex(device.cStr()));
    KJ_SYSCALL(bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address));
  });
}

void FrameSocket::send(kj::ArrayPtr<const kj::byte> frame) {
  ssize_t sent;
  KJ_SYSCALL(sent = ::send(socket, frame.begin(), frame.size(), 0));
}

kj::Maybe<kj::Array<kj::byte>> FrameSocket::receive() {
  for (;;) {
    pollfd waited{socket, POLLIN, 0};
    int ready;
    KJ_SYSCALL(ready = poll(&waited, 1, 1000));
    if (ready == 0) return nullptr;
    kj::byte buffer[2048];
    sockaddr_ll sender{};
    socklen_t size = sizeof sender;
    ssize_t got;
    KJ_SYSCALL(got = recvfrom(socket, buffer, sizeof buffer, 0,
                              reinterpret_cast<sockaddr*>(&sender), &size));
    if (sender.sll_pkttype == PACKET_OUTGOING) continue;
    return kj::heapArray(kj::arrayPtr(buffer, static_cast<size_t>(got)));
  }
}

kj::Array<kj::byte> FrameMaker::raw(uint16_t type, kj::ArrayPtr<const kj::byte> payload) const {
  Bytes frame;
  frame.all(destination.data()).all(mac.data()).u16(type).all(payload);
  return kj::heapArray(frame.get());
}

kj::Array<kj::byte> FrameMaker::echo(const IpAddress& from, const IpAddress& to,
                                     uint16_t identifier) const {
  if (from.family == IpAddress::Family::v4) {
    return raw(ETHERTYPE_IP, echoPacket4(from, to, identifier).get());
  }
  return raw(ETHERTYPE_IPV6, echoPacket6(from, to, identifier).get());
}

kj::Array<kj::byte> FrameMaker::arpRequest(const MacAddress& sender, const IpAddress& from,
                                           const IpAddress& to) const {
  Bytes arp;
  arp.u16(1).u16(ETHERTYPE_IP).u8(6).u8(4).u16(1);
  arp.all(sender.data()).all(from.data()).all(MacAddress{}.data()).all(to.data());
  return raw(ETHERTYPE_ARP, arp.get());
}

kj::Maybe<uint16_t> echoReplyIdentifier(kj::ArrayPtr<const kj::byte> frame) {
  constexpr size_t kEther = 14;
  if (frame.size() < kEther + 28) return nullptr;
  unsigned type = static_cast<unsigned>(frame[12]) << 8 | frame[13];
  size_t icmp;
  if (type == ETHERTYPE_IP && frame[kEther + 9] == IPPROTO_ICMP && frame[kEther + 20] == 0) {
    icmp = kEther + 20;
  } else if (type == ETHERTYPE_IPV6 && frame.size() >= kEther + 48 &&
             frame[kEther + 6] == IPPROTO_ICMPV6 && frame[kEther + 40] == 129) {
    icmp = kEther + 40;
  } else {
    return nullptr;
  }
  return static_cast<uint16_t>(static_cast<unsigned>(frame[icmp + 4]) << 8 | frame[icmp + 5]);
}

bool isArpReply(kj::ArrayPtr<const kj::byte> frame) {
  return frame.size() >= 22 && frame[12] == 0x08 && frame[13] == 0x06 && frame[21] == 2;
}

}  // namespace bulkhead::net
