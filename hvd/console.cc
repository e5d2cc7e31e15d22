// SPDX-License-Identifier: Apache-2.0
#include "hvd/console.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <span>

#include <array>

#include <kj/debug.h>

#include "services/runtime/failure.h"

namespace bulkhead::hvd {
namespace {

// A guest that writes more than this in a window waits for the next one: about 2.5 MB/s.
constexpr size_t kWindowBytes = 256u << 10;
constexpr kj::Duration kWindow = 100 * kj::MILLISECONDS;

// Also counted for an event without bytes, so that events alone cannot keep us busy.
constexpr size_t kEventCost = 512;

}  // namespace

ForeignMemory::ForeignMemory() : handle(xenforeignmemory_open(errors.logger(), 0)) {
  if (handle == nullptr) {
    fail(FailureCode::DENIED, "hypervisor",
         kj::str("/dev/xen/privcmd cannot be opened: ", errors.take()));
  }
}

ForeignMemory::~ForeignMemory() noexcept(false) { xenforeignmemory_close(handle); }

void* ForeignMemory::mapPage(uint32_t domid, uint64_t frame) {
  xen_pfn_t pfn = frame;
  int error = 0;
  void* page = xenforeignmemory_map(handle, domid, PROT_READ | PROT_WRITE, 1, &pfn, &error);
  if (page == nullptr || error != 0) {
    int reason = error != 0 ? -error : errno;
    if (page != nullptr) xenforeignmemory_unmap(handle, page, 1);
    fail(FailureCode::INTERNAL, "console",
         kj::str("the ring's page cannot be mapped: ", strerror(reason), ' ', errors.take()));
  }
  return page;
}

void ForeignMemory::unmapPage(void* page) { xenforeignmemory_unmap(handle, page, 1); }

ConsoleRing::ConsoleRing(xencons_interface& page)
    : page(page), consumed(__atomic_load_n(&page.out_cons, __ATOMIC_RELAXED)) {}

size_t ConsoleRing::drain(ConsoleHistory& history) {
  uint32_t produced = __atomic_load_n(&page.out_prod, __ATOMIC_ACQUIRE);
  uint32_t available = produced - consumed;
  size_t taken = 0;
  if (available > kBytes) {
    consumed = produced;
  } else if (available > 0) {
    std::array<kj::byte, kBytes> bytes;
    for (uint32_t i = 0; i < available; ++i) {
      auto* source = &std::span(page.out)[(consumed + i) % kBytes];
      bytes[i] = static_cast<kj::byte>(*static_cast<volatile char*>(source));
    }
    consumed = produced;
    taken = available;
    history.append(kj::arrayPtr(bytes.data(), available));
  } else {
    return 0;
  }
  __atomic_store_n(&page.out_cons, consumed, __ATOMIC_RELEASE);
  return taken;
}

Console::Console(ForeignMemory& memory, EventChannels& channels, kj::Timer& timer, uint32_t domid,
                 uint64_t frame, uint32_t port, ConsoleHistory& history)
    : memory(memory),
      timer(timer),
      history(history),
      page(memory.mapPage(domid, frame)),
      ring(*static_cast<xencons_interface*>(page)),
      window(timer.now()) {
  KJ_ON_SCOPE_FAILURE(memory.unmapPage(page));
  channel = channels.bind(domid, port, [this]() { onEvent(); });
  serve();
}

Console::~Console() noexcept(false) {
  pause = nullptr;
  ring.drain(history);
  channel = nullptr;
  memory.unmapPage(page);
}

void Console::onEvent() {
  auto now = timer.now();
  if (now - window >= kWindow) {
    window = now;
    inWindow = 0;
  }
  if (inWindow < kWindowBytes) {
    serve();
    return;
  }
  // The channel stays masked until then.
  pause = timer.atTime(window + kWindow).then([this]() { onEvent(); }).eagerlyEvaluate(nullptr);
}

void Console::serve() {
  inWindow += ring.drain(history) + kEventCost;
  channel->notify();
  channel->unmask();
  // What came between draining and unmasking made no event.
  inWindow += ring.drain(history);
}

}  // namespace bulkhead::hvd
