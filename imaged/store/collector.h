// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "imaged/store/image-index.h"
#include "schemas/image.capnp.h"

namespace bulkhead {

// Keeps the store within its bounds: removes images that nobody holds, those first that were not
// used for the longest time.
class Collector {
 public:
  // `quota` in bytes on the disk, of layers and packed images; 0: as much as there is. The index is
  // borrowed.
  Collector(ImageIndex& index, uint64_t quota, Log& log) : index(index), quota(quota), log(log) {}
  KJ_DISALLOW_COPY_AND_MOVE(Collector);

  // Removes images until `bytes` more fit. Fails with `exhausted`, and removes none, where what is
  // in use leaves too little. `subject` is what the room is for.
  void makeRoom(uint64_t bytes, kj::StringPtr subject);

  // Removes images that no reference names and that nobody has held for so many seconds.
  void removeForgotten(int64_t seconds);

  struct Freed {
    uint64_t bytes;
    kj::Vector<kj::String> references;
  };
  Freed prune(schema::PruneReach reach);

  void describe(schema::StoreUsage::Builder out) const;

 private:
  ImageIndex& index;
  uint64_t quota;
  Log& log;

  uint64_t used() const;
  uint64_t heldBytes() const;
  kj::Maybe<kj::String> leastRecentlyUsed() const;
};

}  // namespace bulkhead
