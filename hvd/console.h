// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/timer.h>

#include "hvd/console-history.h"
#include "hvd/event-channels.h"
#include "hvd/xen-control.h"

namespace bulkhead::hvd {

// Pages of other domains, mapped into this process. Opens /dev/xen/privcmd in its constructor.
class ForeignMemory {
 public:
  ForeignMemory();
  ~ForeignMemory() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(ForeignMemory);

  // One page, readable and writable.
  void* mapPage(uint32_t domid, uint64_t frame);
  void unmapPage(void* page);

 private:
  XenErrorLog errors;
  xenforeignmemory_handle* handle;
};

// Reads what a guest puts into its console ring (xen/io/console.h). The guest owns the page and may
// write anything anywhere at any time: our index is private, the guest's is read once a round and
// checked.
class ConsoleRing {
 public:
  static constexpr uint32_t kBytes = sizeof(xencons_interface::out);

  explicit ConsoleRing(xencons_interface& page);

  // Moves what is there into the history; returns the number of bytes. A nonsensical index drops
  // what was in the ring.
  size_t drain(ConsoleHistory& history);

 private:
  xencons_interface& page;
  uint32_t consumed;
};

// Serves the console of one domain while it is held. Must go before the domain is destroyed, since
// a mapped page keeps it from going.
class Console {
 public:
  // Maps the ring at `frame` and binds to the guest's `port`.
  Console(ForeignMemory& memory, EventChannels& channels, kj::Timer& timer, uint32_t domid,
          uint64_t frame, uint32_t port, ConsoleHistory& history);
  ~Console() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(Console);

  // Takes what is in the ring now, without waiting for the guest's event.
  void flush() { ring.drain(history); }

 private:
  ForeignMemory& memory;
  kj::Timer& timer;
  ConsoleHistory& history;
  void* page;
  ConsoleRing ring;
  kj::TimePoint window;
  size_t inWindow = 0;
  kj::Promise<void> pause = nullptr;
  kj::Own<EventChannels::Channel> channel;

  void onEvent();
  void serve();
};

}  // namespace bulkhead::hvd
