// SPDX-License-Identifier: Apache-2.0
#include "netd/number-pool.h"

#include <gtest/gtest.h>
#include <kj/debug.h>

#include <algorithm>
#include <deque>
#include <random>
#include <set>

namespace bulkhead::net {
namespace {

uint32_t takeNext(NumberPool& pool) {
  uint32_t number = KJ_ASSERT_NONNULL(pool.next());
  pool.take(number);
  return number;
}

TEST(NumberPool, GivesTheLowestFree) {
  NumberPool pool(1, 5, 0);
  EXPECT_EQ(takeNext(pool), 1u);
  EXPECT_EQ(takeNext(pool), 2u);
  EXPECT_EQ(takeNext(pool), 3u);
  pool.giveBack(2);
  EXPECT_EQ(takeNext(pool), 2u);
  EXPECT_EQ(pool.used(), 3u);
  EXPECT_EQ(pool.available(), 2u);
}

TEST(NumberPool, WhatWasGivenBackRests) {
  NumberPool pool(1, 4, 2);
  for (int i = 0; i < 3; ++i) takeNext(pool);
  pool.giveBack(1);
  pool.giveBack(2);
  EXPECT_EQ(takeNext(pool), 4u);
  // Only resting ones are left: the one that rested longest.
  EXPECT_EQ(takeNext(pool), 1u);
  pool.giveBack(3);
  pool.giveBack(4);  // the third to rest wakes the first
  EXPECT_EQ(takeNext(pool), 2u);
}

TEST(NumberPool, RunsOut) {
  NumberPool pool(1, 2, 8);
  takeNext(pool);
  takeNext(pool);
  EXPECT_TRUE(pool.next() == nullptr);
  EXPECT_EQ(pool.available(), 0u);
  pool.giveBack(1);
  EXPECT_EQ(takeNext(pool), 1u);
}

TEST(NumberPool, ARestingNumberCanBeWanted) {
  NumberPool pool(1, 100, 8);
  pool.take(50);
  EXPECT_FALSE(pool.isFree(50));
  pool.giveBack(50);
  EXPECT_TRUE(pool.isFree(50));
  pool.take(50);
  EXPECT_FALSE(pool.isFree(50));
  EXPECT_FALSE(pool.isFree(0));
  EXPECT_FALSE(pool.isFree(101));
}

// The same rules without any cleverness.
struct Model {
  uint32_t first, last;
  size_t limit;
  std::set<uint32_t> taken;
  std::deque<uint32_t> rest;

  bool resting(uint32_t n) const { return std::find(rest.begin(), rest.end(), n) != rest.end(); }
  uint32_t next() const {
    for (uint32_t n = first; n <= last; ++n) {
      if (!taken.contains(n) && !resting(n)) return n;
    }
    return rest.empty() ? 0 : rest.front();
  }
  void take(uint32_t n) {
    taken.insert(n);
    std::erase(rest, n);
  }
  void giveBack(uint32_t n) {
    taken.erase(n);
    if (limit == 0) return;
    rest.push_back(n);
    if (rest.size() > limit) rest.pop_front();
  }
};

TEST(NumberPool, BehavesAsItsModel) {
  std::mt19937 random(20250711);
  for (uint32_t size : {1u, 3u, 63u, 64u, 65u, 200u}) {
    for (size_t limit : {0u, 1u, 7u, 500u}) {
      NumberPool pool(1, size, limit);
      Model model{1, size, limit, {}, {}};
      for (int step = 0; step < 2000; ++step) {
        SCOPED_TRACE(testing::Message() << size << " " << limit << " " << step);
        ASSERT_EQ(pool.next().orDefault(0), model.next());
        ASSERT_EQ(pool.used(), model.taken.size());
        uint32_t n = static_cast<uint32_t>(random()) % size + 1;
        ASSERT_EQ(pool.isFree(n), !model.taken.contains(n));
        bool give = random() % 2 == 0;
        if (give && model.taken.contains(n)) {
          pool.giveBack(n);
          model.giveBack(n);
        } else if (!give && model.next() != 0) {
          n = random() % 8 == 0 && !model.taken.contains(n) ? n : model.next();
          pool.take(n);
          model.take(n);
        }
      }
    }
  }
}

}  // namespace
}  // namespace bulkhead::net
