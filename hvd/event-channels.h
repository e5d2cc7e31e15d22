// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async-unix.h>
#include <kj/function.h>
#include <kj/map.h>

#include "hvd/xen-control.h"

namespace bulkhead::hvd {

// Event channels of this process through one /dev/xen/evtchn. An event masks its channel until it
// is unmasked, so that a guest cannot make us spin.
class EventChannels {
 public:
  explicit EventChannels(kj::UnixEventPort& port);
  ~EventChannels() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(EventChannels);

  // One bound channel. Destroying it unbinds.
  class Channel {
   public:
    Channel(EventChannels& channels, evtchn_port_t local) : channels(channels), local(local) {}
    ~Channel() noexcept(false);
    KJ_DISALLOW_COPY_AND_MOVE(Channel);

    void unmask();
    void notify();

   private:
    EventChannels& channels;
    evtchn_port_t local;
  };

  // Binds to a guest's port. `onEvent` is called on the event loop; the channel stays masked until
  // `unmask`.
  kj::Own<Channel> bind(uint32_t domid, uint32_t remotePort, kj::Function<void()> onEvent);

  // Binds one of dom0's own virtual interrupts (VIRQ_* of xen/xen.h).
  kj::Own<Channel> bindVirtualInterrupt(uint32_t virq, kj::Function<void()> onEvent);

 private:
  XenErrorLog errors;
  xenevtchn_handle* handle;
  kj::HashMap<evtchn_port_t, kj::Function<void()>> handlers;
  kj::Own<kj::UnixEventPort::FdObserver> observer;
  kj::Promise<void> dispatcher = nullptr;

  kj::Own<Channel> adopt(xenevtchn_port_or_error_t port, kj::StringPtr what,
                         kj::Function<void()> onEvent);
  kj::Promise<void> dispatch();
};

}  // namespace bulkhead::hvd
