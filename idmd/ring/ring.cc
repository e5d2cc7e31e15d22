// SPDX-License-Identifier: Apache-2.0
#include "idmd/ring/ring.h"

#include <string.h>

#include <kj/debug.h>

namespace bulkhead::ring {
namespace {

// The order of a ring of so many bytes; the number of pages comes from whoever mapped them.
uint32_t orderOf(size_t memoryBytes) {
  for (uint32_t order = 0; order <= kMaxOrder; ++order) {
    if (memoryBytes == pagesFor(order) * kPageBytes) return order;
  }
  KJ_FAIL_REQUIRE("no ring has this size", memoryBytes);
}

// Whether going from `before` to `after` passed the mark: before < mark <= after, modulo 2^32.
bool passed(uint32_t before, uint32_t after, uint32_t mark) {
  return after - mark < after - before;
}

// Copies to and from the ring at a running count. The bytes themselves may change under the copy
// when the peer is hostile; nothing is decided by them until they are in private memory.
void copyOut(kj::byte* to, const kj::byte* area, uint32_t size, uint32_t at, uint32_t count) {
  uint32_t start = at & (size - 1);
  uint32_t first = kj::min(count, size - start);
  memcpy(to, area + start, first);
  memcpy(to + first, area, count - first);
}

void copyIn(kj::byte* area, const kj::byte* from, uint32_t size, uint32_t at, uint32_t count) {
  uint32_t start = at & (size - 1);
  uint32_t first = kj::min(count, size - start);
  memcpy(area + start, from, first);
  memcpy(area, from + first, count - first);
}

}  // namespace

kj::Maybe<Offer> readOffer(kj::ArrayPtr<const kj::byte> page) {
  KJ_REQUIRE(page.size() >= kPageBytes);
  auto& control = *reinterpret_cast<const ControlPage*>(page.begin());
  uint32_t magic = control.magic.load(std::memory_order_acquire);
  uint32_t version = control.version.load(std::memory_order_relaxed);
  uint32_t order = control.order.load(std::memory_order_relaxed);
  if (magic != kMagic || version != kVersion || order > kMaxOrder) return nullptr;
  Offer offer{order, 2u << order, {}};
  for (uint32_t i = 0; i < offer.dataPages; ++i) {
    offer.grants[i] = control.grants[i].load(std::memory_order_relaxed);
  }
  return offer;
}

void formatRing(kj::ArrayPtr<kj::byte> memory, kj::ArrayPtr<const uint32_t> grants) {
  uint32_t order = orderOf(memory.size());
  KJ_REQUIRE(grants.size() == 2u << order, "one grant a data page", grants.size());
  memset(memory.begin(), 0, memory.size());
  auto& control = *reinterpret_cast<ControlPage*>(memory.begin());
  for (size_t i = 0; i < grants.size(); ++i) {
    control.grants[i].store(grants[i], std::memory_order_relaxed);
  }
  control.order.store(order, std::memory_order_relaxed);
  control.version.store(kVersion, std::memory_order_relaxed);
  control.guestAlive.store(1, std::memory_order_relaxed);
  control.magic.store(kMagic, std::memory_order_release);
}

RingEnd::RingEnd(kj::ArrayPtr<kj::byte> memory, Side sideParam)
    : control(reinterpret_cast<ControlPage*>(memory.begin())),
      bytes(static_cast<uint32_t>(kPageBytes) << orderOf(memory.size())),
      side(sideParam) {
  KJ_REQUIRE(reinterpret_cast<uintptr_t>(memory.begin()) % kLineBytes == 0, "unaligned ring");
  kj::byte* toHost = memory.begin() + kPageBytes;
  kj::byte* toGuest = toHost + bytes;
  bool host = side == Side::host;
  auto& inLines = host ? control->toHost : control->toGuest;
  auto& outLines = host ? control->toGuest : control->toHost;
  in = host ? toHost : toGuest;
  out = host ? toGuest : toHost;
  inPeer = &inLines.producer;
  inOwn = &inLines.consumer;
  outOwn = &outLines.producer;
  outPeer = &outLines.consumer;
  if (host) {
    KJ_REQUIRE(control->hostAttached.load(std::memory_order_acquire) == 0,
               "this ring was used before");
    control->hostAlive.store(1, std::memory_order_seq_cst);
    control->hostAttached.store(1, std::memory_order_seq_cst);
    wantsNotify = true;
  }
}

void RingEnd::breakWith(kj::StringPtr why) {
  if (reason.size() == 0) reason = why;
}

// Both counts of the peer only ever grow, and by no more than the ring has room for: so a value is
// right when it lies between the last one and the farthest it can have come, all modulo 2^32. The
// distances are unsigned, hence one comparison each.
kj::Maybe<uint32_t> RingEnd::available() {
  uint32_t count = inPeer->produced.load(std::memory_order_seq_cst) - consumed;
  if (count > bytes) {
    breakWith("the peer claims more bytes than the ring holds");
    return nullptr;
  }
  if (count < peerProduced - consumed) {
    breakWith("the peer takes back bytes that it had produced");
    return nullptr;
  }
  peerProduced = consumed + count;
  return count;
}

kj::Maybe<uint32_t> RingEnd::space() {
  uint32_t used = produced - outPeer->consumed.load(std::memory_order_seq_cst);
  if (used > produced - peerConsumed) {
    breakWith("the peer claims to have read what it cannot have read");
    return nullptr;
  }
  peerConsumed = produced - used;
  return bytes - used;
}

size_t RingEnd::read(kj::ArrayPtr<kj::byte> into) {
  if (closed || reason.size() > 0) return 0;
  KJ_IF_MAYBE (ready, available()) {
    uint32_t count = static_cast<uint32_t>(kj::min(size_t{*ready}, into.size()));
    if (count == 0) return 0;
    copyOut(into.begin(), in, bytes, consumed, count);
    uint32_t before = consumed;
    consumed += count;
    // Sequentially consistent store, then load: either the peer sees the new count after it asked
    // for an event, or we see that it asked.
    inOwn->consumed.store(consumed, std::memory_order_seq_cst);
    uint32_t wake = inPeer->wakeWhenConsumed.load(std::memory_order_seq_cst);
    if (passed(before, consumed, wake)) wantsNotify = true;
    return count;
  }
  return 0;
}

size_t RingEnd::write(kj::ArrayPtr<const kj::byte> from) {
  if (state() != RingState::open) return 0;
  KJ_IF_MAYBE (room, space()) {
    uint32_t count = static_cast<uint32_t>(kj::min(size_t{*room}, from.size()));
    if (count == 0) return 0;
    copyIn(out, from.begin(), bytes, produced, count);
    uint32_t before = produced;
    produced += count;
    outOwn->produced.store(produced, std::memory_order_seq_cst);
    uint32_t wake = outPeer->wakeWhenProduced.load(std::memory_order_seq_cst);
    if (passed(before, produced, wake)) wantsNotify = true;
    return count;
  }
  return 0;
}

RingEnd::Sleep RingEnd::sleepUntilReadable(size_t wanted) {
  if (state() != RingState::open) return Sleep::notNeeded;
  uint32_t enough = mark(wanted);
  inOwn->wakeWhenProduced.store(consumed + enough, std::memory_order_seq_cst);
  KJ_IF_MAYBE (ready, available()) {
    if (*ready >= enough) return Sleep::notNeeded;
    // A peer that left between the two looks will raise an event only if it did so after this.
    return state() == RingState::open ? Sleep::armed : Sleep::notNeeded;
  }
  return Sleep::notNeeded;
}

RingEnd::Sleep RingEnd::sleepUntilWritable(size_t wanted) {
  if (state() != RingState::open) return Sleep::notNeeded;
  uint32_t enough = mark(wanted);
  outOwn->wakeWhenConsumed.store(produced - bytes + enough, std::memory_order_seq_cst);
  KJ_IF_MAYBE (room, space()) {
    if (*room >= enough) return Sleep::notNeeded;
    return state() == RingState::open ? Sleep::armed : Sleep::notNeeded;
  }
  return Sleep::notNeeded;
}

// How far the peer's count must move before an event is worth its price.
uint32_t RingEnd::mark(size_t wanted) const {
  size_t half = bytes / 2;
  return static_cast<uint32_t>(kj::max(size_t{1}, kj::min(wanted, half)));
}

bool RingEnd::takeNotify() {
  bool wanted = wantsNotify;
  wantsNotify = false;
  return wanted;
}

RingState RingEnd::state() {
  if (reason.size() > 0) return RingState::broken;
  if (closed) return RingState::peerGone;
  if (side == Side::host) {
    bool alive = control->guestAlive.load(std::memory_order_seq_cst) != 0;
    return alive ? RingState::open : RingState::peerGone;
  }
  bool left = control->hostAttached.load(std::memory_order_seq_cst) != 0 &&
              control->hostAlive.load(std::memory_order_seq_cst) == 0;
  return left ? RingState::peerGone : RingState::open;
}

bool RingEnd::readable() {
  if (closed || reason.size() > 0) return false;
  KJ_IF_MAYBE (ready, available()) {
    return *ready > 0;
  }
  return false;
}

void RingEnd::close() {
  if (closed) return;
  closed = true;
  auto& alive = side == Side::host ? control->hostAlive : control->guestAlive;
  alive.store(0, std::memory_order_seq_cst);
  wantsNotify = true;
}

}  // namespace bulkhead::ring
