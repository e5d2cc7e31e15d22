// SPDX-License-Identifier: Apache-2.0
// For tests: network namespaces, and what is in them.
#pragma once

#include <kj/function.h>
#include <kj/io.h>
#include <kj/string.h>

#include <cstdint>

#include "netd/addresses.h"

namespace bulkhead::net {

// A network namespace that lives as long as this object. Needs root and a process of one thread.
class NetworkNamespace {
 public:
  NetworkNamespace();
  KJ_DISALLOW_COPY_AND_MOVE(NetworkNamespace);

  // Runs `body` with this process inside.
  void inside(kj::Function<void()> body) const;

  struct Outcome {
    int code;  // exit code
    kj::String output;
  };

  // Runs a shell command inside.
  Outcome shell(kj::StringPtr command) const;

  // Runs one that must succeed.
  void mustRun(kj::StringPtr command) const;

  // For the child of a fork.
  void enter() const;

  // A path of it for other processes.
  kj::String path() const;

 private:
  kj::AutoCloseFd fd;
};

// A raw packet socket on one device. Frames come and go as they are on the wire.
class FrameSocket {
 public:
  FrameSocket(const NetworkNamespace& where, kj::StringPtr device);

  void send(kj::ArrayPtr<const kj::byte> frame);

  // The next frame that arrived; null when none does within a second.
  kj::Maybe<kj::Array<kj::byte>> receive();

 private:
  kj::AutoCloseFd socket;
};

// Frames of one host on the wire; fields are public so that tests can lie with them.
struct FrameMaker {
  MacAddress mac;
  MacAddress destination;

  // An ICMP or ICMPv6 echo request with this identifier.
  kj::Array<kj::byte> echo(const IpAddress& from, const IpAddress& to, uint16_t identifier) const;

  // A request for the MAC of `to`; the packet's own sender MAC may differ from the frame's.
  kj::Array<kj::byte> arpRequest(const MacAddress& sender, const IpAddress& from,
                                 const IpAddress& to) const;

  // The payload in a frame of that Ethernet type.
  kj::Array<kj::byte> raw(uint16_t type, kj::ArrayPtr<const kj::byte> payload) const;
};

// The identifier of an echo reply; null when the frame is something else.
kj::Maybe<uint16_t> echoReplyIdentifier(kj::ArrayPtr<const kj::byte> frame);

// Whether it is an ARP reply.
bool isArpReply(kj::ArrayPtr<const kj::byte> frame);

}  // namespace bulkhead::net
