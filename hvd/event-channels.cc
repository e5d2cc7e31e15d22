// SPDX-License-Identifier: Apache-2.0
#include "hvd/event-channels.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <span>

#include <kj/debug.h>

#include "services/runtime/failure.h"

namespace bulkhead::hvd {
namespace {

// Ports read at a time; what is left is read in the next turn of the loop.
constexpr size_t kBatch = 64;

}  // namespace

EventChannels::EventChannels(kj::UnixEventPort& port) : handle(xenevtchn_open(errors.logger(), 0)) {
  if (handle == nullptr) {
    fail(FailureCode::DENIED, "hypervisor",
         kj::str("/dev/xen/evtchn cannot be opened: ", errors.take()));
  }
  int fd = xenevtchn_fd(handle);
  KJ_SYSCALL(fcntl(fd, F_SETFL, O_NONBLOCK));
  observer = kj::heap<kj::UnixEventPort::FdObserver>(port, fd,
                                                     kj::UnixEventPort::FdObserver::OBSERVE_READ);
  dispatcher = dispatch().eagerlyEvaluate(nullptr);
}

EventChannels::~EventChannels() noexcept(false) {
  dispatcher = nullptr;
  // The observer must leave epoll before its descriptor is closed.
  observer = nullptr;
  xenevtchn_close(handle);
}

EventChannels::Channel::~Channel() noexcept(false) {
  channels.handlers.erase(local);
  xenevtchn_unbind(channels.handle, local);
}

void EventChannels::Channel::unmask() { xenevtchn_unmask(channels.handle, local); }
void EventChannels::Channel::notify() { xenevtchn_notify(channels.handle, local); }

kj::Own<EventChannels::Channel> EventChannels::adopt(xenevtchn_port_or_error_t port,
                                                     kj::StringPtr what,
                                                     kj::Function<void()> onEvent) {
  if (port < 0) {
    int error = errno;
    fail(FailureCode::INTERNAL, "hypervisor",
         kj::str(what, ": ", strerror(error), ' ', errors.take()));
  }
  auto local = static_cast<evtchn_port_t>(port);
  handlers.upsert(local, kj::mv(onEvent),
                  [](auto& existing, auto&& fresh) { existing = kj::mv(fresh); });
  return kj::heap<Channel>(*this, local);
}

kj::Own<EventChannels::Channel> EventChannels::bind(uint32_t domid, uint32_t remotePort,
                                                    kj::Function<void()> onEvent) {
  return adopt(xenevtchn_bind_interdomain(handle, domid, remotePort), "binding an event channel",
               kj::mv(onEvent));
}

kj::Own<EventChannels::Channel> EventChannels::bindVirtualInterrupt(uint32_t virq,
                                                                    kj::Function<void()> onEvent) {
  return adopt(xenevtchn_bind_virq(handle, virq), "binding a virtual interrupt", kj::mv(onEvent));
}

kj::Promise<void> EventChannels::dispatch() {
  evtchn_port_t ports[kBatch];
  for (;;) {
    ssize_t got = read(xenevtchn_fd(handle), ports, sizeof ports);
    if (got < 0 && errno == EAGAIN) {
      co_await observer->whenBecomesReadable();
      continue;
    }
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) KJ_FAIL_SYSCALL("read(/dev/xen/evtchn)", errno);
    for (size_t i = 0; i < static_cast<size_t>(got) / sizeof ports[0]; ++i) {
      KJ_IF_MAYBE (handler, handlers.find(std::span(ports)[i])) {
        (*handler)();
      }
    }
    // Others get their turn between batches.
    co_await kj::evalLater([]() {});
  }
}

}  // namespace bulkhead::hvd
