// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/array.h>
#include <kj/common.h>
#include <kj/string.h>

#include "idmd/ring/ring-layout.h"

namespace bulkhead::ring {

// What a guest offers, copied out of its control page and checked. Nothing of it is read twice.
struct Offer {
  uint32_t order;
  uint32_t dataPages;  // 2 << order
  uint32_t grants[kMaxDataPages];
};

// Reads the offer in a control page once. None where magic, version or order are not ours: the
// page is whatever a guest pointed at. `page` holds at least a page.
kj::Maybe<Offer> readOffer(kj::ArrayPtr<const kj::byte> page);

// Prepares the memory of a fresh ring on the guest's side: all zero but the offer. `grants` are the
// references of the data pages, in the order of the mapping.
void formatRing(kj::ArrayPtr<kj::byte> memory, kj::ArrayPtr<const uint32_t> grants);

enum class Side : uint8_t { host, guest };

enum class RingState : uint8_t {
  open,
  peerGone,  // the peer left; what it had written before can still be read
  broken,    // the peer broke the rules; nothing moves any more
};

// One end of a ring: copies bytes in and out, never hands out a pointer into shared memory, and
// believes nothing the peer can write. It sends and receives no events itself: `takeNotify` says
// when the peer wants one, and `sleepUntil...` arranges for one before waiting.
//
// For one thread. The memory must outlive it.
class RingEnd {
 public:
  // `memory` is a whole ring (`pagesFor(order)` pages, page-aligned), freshly formatted. The host's
  // end announces itself to the guest by being made; it refuses (throws) a ring that another host
  // was attached to before, since its indices are no longer known.
  RingEnd(kj::ArrayPtr<kj::byte> memory, Side side);
  KJ_DISALLOW_COPY(RingEnd);
  RingEnd(RingEnd&&) = default;

  // Moves up to `into.size()` bytes out of the ring; 0 when there are none or the ring is broken.
  size_t read(kj::ArrayPtr<kj::byte> into);

  // Moves up to `from.size()` bytes into the ring; 0 when it is full or not open.
  size_t write(kj::ArrayPtr<const kj::byte> from);

  enum class Sleep : uint8_t {
    armed,     // the peer was asked for an event: wait for it
    notNeeded  // what was waited for is there, or never will be: look again
  };

  // To be called when `read` gave all there was and more is wanted: asks for an event when
  // `wanted` further bytes are there, or a half-full ring where that is less. Looks again after
  // asking, so that no event is lost between the two.
  Sleep sleepUntilReadable(size_t wanted);

  // To be called when `write` filled the ring and `wanted` further bytes are left: asks for an
  // event when there is room for them, or half the ring is empty.
  Sleep sleepUntilWritable(size_t wanted);

  // Whether the peer wants an event because of what was read or written since the last call.
  bool takeNotify();

  // Looks at the peer's liveness and says where the ring stands.
  RingState state();

  // Why the ring is broken; empty while it is not.
  kj::StringPtr breach() const { return reason; }

  // Whether bytes wait to be read.
  bool readable();

  // Bytes that fit in one direction.
  uint32_t size() const { return bytes; }

  // Declares the ring broken, for a rule that only the caller can see broken. `why` is a literal.
  void breakWith(kj::StringPtr why);

  // Tells the peer that this side leaves (the caller notifies). Nothing moves afterwards.
  void close();

 private:
  ControlPage* control;
  kj::byte* in;          // data area this end reads
  kj::byte* out;         // data area this end writes
  ProducerLine* inPeer;  // the peer's account of what it produced
  ConsumerLine* inOwn;
  ConsumerLine* outPeer;  // the peer's account of what it consumed
  ProducerLine* outOwn;
  uint32_t bytes;
  Side side;

  // The truth about this end. The peer cannot reach it.
  uint32_t consumed = 0;
  uint32_t produced = 0;
  uint32_t peerProduced = 0;  // the last the peer said: its counts never go back
  uint32_t peerConsumed = 0;
  bool wantsNotify = false;
  bool closed = false;
  kj::StringPtr reason;

  // Bytes that wait, checked; none when the peer's index is impossible, which breaks the ring.
  kj::Maybe<uint32_t> available();
  kj::Maybe<uint32_t> space();
  uint32_t mark(size_t wanted) const;
};

}  // namespace bulkhead::ring
