// SPDX-License-Identifier: Apache-2.0
#include "idmd/ring/event-channel.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <kj/debug.h>

#include "idmd/ring/xen-devices.h"

namespace bulkhead::ring {
namespace {

// Most ports taken by one read: more events than a link's one port can have pending.
constexpr size_t kBatch = 16;

void setNonblocking(int fd) {
  int flags;
  KJ_SYSCALL(flags = fcntl(fd, F_GETFL));
  if ((flags & O_NONBLOCK) != 0) return;
  KJ_SYSCALL(fcntl(fd, F_SETFL, flags | O_NONBLOCK));
}

}  // namespace

DeviceEventChannel::DeviceEventChannel(kj::UnixEventPort& eventPort, kj::AutoCloseFd fdParam,
                                       uint32_t port)
    : fd(kj::mv(fdParam)),
      port(port),
      observer(eventPort, fd, kj::UnixEventPort::FdObserver::OBSERVE_READ) {
  setNonblocking(fd);
}

void DeviceEventChannel::notify() {
  ioctl_evtchn_notify argument{port};
  // Fails only when the port is no longer ours, which the next read tells as well.
  ioctl(fd, IOCTL_EVTCHN_NOTIFY, &argument);
}

// Takes all pending events; the kernel keeps each port masked until it is written back.
bool DeviceEventChannel::drain() {
  bool ours = false;
  for (;;) {
    uint32_t ports[kBatch];
    ssize_t count = ::read(fd, ports, sizeof ports);
    if (count < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) return ours;
      KJ_FAIL_SYSCALL("reading the event channel", errno);
    }
    for (size_t i = 0; i < static_cast<size_t>(count) / sizeof ports[0]; ++i) {
      if (ports[i] == port) ours = true;
    }
  }
}

kj::Promise<void> DeviceEventChannel::whenEvent() {
  if (masked) {
    masked = false;
    ssize_t count;
    KJ_SYSCALL(count = ::write(fd, &port, sizeof port), "unmasking the event channel");
  }
  // The device wakes its reader only when its queue was empty before: so take all, then wait.
  while (!drain()) co_await observer.whenBecomesReadable();
  masked = true;
}

SocketEventChannel::SocketEventChannel(kj::UnixEventPort& eventPort, kj::AutoCloseFd fdParam,
                                       uint32_t port)
    : fd(kj::mv(fdParam)),
      port(port),
      observer(eventPort, fd, kj::UnixEventPort::FdObserver::OBSERVE_READ) {
  setNonblocking(fd);
}

void SocketEventChannel::notify() {
  // A full socket holds events enough; a closed one is no error here.
  send(fd, &port, sizeof port, MSG_DONTWAIT | MSG_NOSIGNAL);
}

bool SocketEventChannel::drain() {
  bool any = false;
  for (;;) {
    uint32_t ports[kBatch];
    ssize_t count = ::read(fd, ports, sizeof ports);
    if (count < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) return any;
      KJ_FAIL_SYSCALL("reading the event socket", errno);
    }
    if (count == 0) {
      if (any) return true;
      kj::throwFatalException(KJ_EXCEPTION(DISCONNECTED, "the event socket was closed"));
    }
    any = true;
  }
}

kj::Promise<void> SocketEventChannel::whenEvent() {
  while (!drain()) co_await observer.whenBecomesReadable();
}

kj::Own<EventChannel> openEventChannel(kj::UnixEventPort& eventPort, kj::AutoCloseFd fd,
                                       uint32_t port) {
  struct stat status;
  KJ_SYSCALL(fstat(fd, &status));
  if (S_ISSOCK(status.st_mode)) return kj::heap<SocketEventChannel>(eventPort, kj::mv(fd), port);
  return kj::heap<DeviceEventChannel>(eventPort, kj::mv(fd), port);
}

}  // namespace bulkhead::ring
