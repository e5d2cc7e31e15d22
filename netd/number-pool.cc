// SPDX-License-Identifier: Apache-2.0
#include "netd/number-pool.h"

#include <kj/debug.h>

#include <bit>

namespace bulkhead::net {
namespace {

constexpr uint64_t kMostNumbers = 1u << 24;

}  // namespace

NumberPool::NumberPool(uint32_t first, uint32_t last, size_t resting)
    : first(first), last(last), restingLimit(resting) {
  KJ_REQUIRE(first <= last, "an empty pool", first, last);
  uint64_t count = uint64_t{last} - first + 1;
  KJ_REQUIRE(count <= kMostNumbers, "a pool of that size is not supported", count);
  busy = kj::heapArray<uint64_t>((count + 63) / 64);
  for (auto& word : busy) word = 0;
}

bool NumberPool::bit(uint32_t number) const {
  uint32_t at = number - first;
  return (busy[at / 64] >> (at % 64) & 1) != 0;
}

void NumberPool::setBit(uint32_t number, uint64_t value) {
  uint32_t at = number - first;
  busy[at / 64] = (busy[at / 64] & ~(uint64_t{1} << (at % 64))) | value << (at % 64);
}

kj::Maybe<size_t> NumberPool::placeInRest(uint32_t number) const {
  for (size_t i = 0; i < rest.size(); ++i) {
    if (rest[i] == number) return i;
  }
  return nullptr;
}

kj::Maybe<uint32_t> NumberPool::next() const {
  for (size_t i = 0; i < busy.size(); ++i) {
    if (busy[i] == UINT64_MAX) continue;
    uint64_t number = uint64_t{first} + i * 64 + static_cast<uint64_t>(std::countr_one(busy[i]));
    if (number <= last) return static_cast<uint32_t>(number);
  }
  if (!rest.empty()) return rest.front();
  return nullptr;
}

bool NumberPool::isFree(uint32_t number) const {
  return contains(number) && (!bit(number) || placeInRest(number) != nullptr);
}

void NumberPool::take(uint32_t number) {
  KJ_REQUIRE(isFree(number), "the number is taken", number);
  KJ_IF_MAYBE (place, placeInRest(number)) {
    rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(*place));
  }
  setBit(number, 1);
  ++usedCount;
}

void NumberPool::giveBack(uint32_t number) {
  KJ_REQUIRE(contains(number) && !isFree(number), "the number is not taken", number);
  --usedCount;
  setBit(number, 0);
  noteResting(number);
}

void NumberPool::noteResting(uint32_t number) {
  KJ_REQUIRE(isFree(number), "the number is taken", number);
  if (restingLimit == 0 || bit(number)) return;
  if (rest.size() == restingLimit) {
    setBit(rest.front(), 0);
    rest.pop_front();
  }
  rest.push_back(number);
  setBit(number, 1);
}

}  // namespace bulkhead::net
