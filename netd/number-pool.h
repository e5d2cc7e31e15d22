// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/array.h>
#include <kj/vector.h>

#include <cstdint>
#include <deque>

namespace bulkhead::net {

// Which of the numbers `first` to `last` are taken, and which one is next. A number that was just
// given back rests: what still remembers its former holder (a peer's cache, a log reader) shall not
// meet a new one. Of those that do not rest the lowest free number is next; when only resting ones
// are left, the one that has rested longest is.
class NumberPool {
 public:
  // The pool keeps one bit per number: at most 2^24 of them. `resting` is how many of the numbers
  // given back last are passed over.
  NumberPool(uint32_t first, uint32_t last, size_t resting);
  KJ_DISALLOW_COPY(NumberPool);

  // The number that `take` should get next; null when all are taken.
  kj::Maybe<uint32_t> next() const;

  bool isFree(uint32_t number) const;
  bool contains(uint32_t number) const { return number >= first && number <= last; }

  // The number must be free.
  void take(uint32_t number);

  // The number must be taken.
  void giveBack(uint32_t number);

  // For a pool that is rebuilt at the start: the free number was given back before.
  void noteResting(uint32_t number);

  uint64_t used() const { return usedCount; }
  uint64_t available() const { return uint64_t{last} - first + 1 - usedCount; }

 private:
  uint32_t first;
  uint32_t last;
  size_t restingLimit;
  kj::Array<uint64_t> busy;   // taken or resting
  std::deque<uint32_t> rest;  // oldest first
  uint64_t usedCount = 0;

  bool bit(uint32_t number) const;
  void setBit(uint32_t number, uint64_t value);
  kj::Maybe<size_t> placeInRest(uint32_t number) const;
};

}  // namespace bulkhead::net
