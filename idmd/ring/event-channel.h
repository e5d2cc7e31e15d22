// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async-unix.h>
#include <kj/io.h>

namespace bulkhead::ring {

// Tells the peer that there is something to look at, and hears the same from it. Events carry no
// data and coalesce.
class EventChannel {
 public:
  virtual ~EventChannel() noexcept(false) {}

  // Raises an event at the peer. Never blocks; a peer that is gone is no error.
  virtual void notify() = 0;

  // Lets the next event through and resolves when it has come; one that came since the last
  // promise resolved counts. Between a promise's resolution and the next call no further event
  // costs this process anything, however many the peer raises. One call at a time. Throws when the
  // channel itself is gone.
  virtual kj::Promise<void> whenEvent() = 0;
};

// A port bound on a descriptor of /dev/xen/evtchn. The descriptor may come from another process
// that bound the port and restricted the descriptor to one domain.
class DeviceEventChannel final : public EventChannel {
 public:
  // `fd` is set non-blocking, which for this device only its one user sees.
  DeviceEventChannel(kj::UnixEventPort& eventPort, kj::AutoCloseFd fd, uint32_t port);

  void notify() override;
  kj::Promise<void> whenEvent() override;

 private:
  kj::AutoCloseFd fd;
  uint32_t port;
  kj::UnixEventPort::FdObserver observer;  // goes before the descriptor it watches
  bool masked = false;

  bool drain();
};

// The same over a connected socket that carries 4-byte port numbers both ways: the place of the
// device in tests that have no Xen.
class SocketEventChannel final : public EventChannel {
 public:
  SocketEventChannel(kj::UnixEventPort& eventPort, kj::AutoCloseFd fd, uint32_t port);

  void notify() override;
  kj::Promise<void> whenEvent() override;

 private:
  kj::AutoCloseFd fd;
  uint32_t port;
  kj::UnixEventPort::FdObserver observer;

  bool drain();
};

// Whichever of the two `fd` is.
kj::Own<EventChannel> openEventChannel(kj::UnixEventPort& eventPort, kj::AutoCloseFd fd,
                                       uint32_t port);

}  // namespace bulkhead::ring
