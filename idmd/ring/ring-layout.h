// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace bulkhead::ring {

// The memory of one ring, as both sides see it: one control page, then 2^order data pages toward
// the host, then 2^order data pages toward the guest. All of it is the guest's memory, granted to
// dom0. All numbers are little-endian, which is what the machine speaks.
//
// Every field has exactly one writer. A reader takes each field with one atomic load into a
// variable of its own, checks that copy and uses nothing else. What a side needs of its own state
// it keeps in private memory: the fields here only tell the peer, who may overwrite any of them at
// any time, ours included.

constexpr size_t kPageBytes = 4096;
constexpr uint32_t kMagic = 0x52494842;  // "BHIR"
constexpr uint32_t kVersion = 1;
constexpr uint32_t kMaxOrder = 4;      // 64 KiB each way
constexpr uint32_t kDefaultOrder = 4;  // and that is what guests offer
constexpr uint32_t kMaxDataPages = 2u << kMaxOrder;
constexpr size_t kLineBytes = 64;

static_assert(std::atomic<uint32_t>::is_always_lock_free);
static_assert(sizeof(std::atomic<uint32_t>) == 4 && sizeof(std::atomic<uint8_t>) == 1);

// What the writer of bytes tells the reader of bytes; one cache line.
struct alignas(kLineBytes) ProducerLine {
  // Bytes produced since the ring was made, modulo 2^32. The reader must assume any value: its
  // distance from the reader's own count, taken unsigned, is at most the ring's size or the ring
  // is dead.
  std::atomic<uint32_t> produced;

  // The producer wants an event when the consumer's count passes this value. Any value is
  // harmless to the consumer: at worst it sends one event too many, or one too few to a peer that
  // asked for that.
  std::atomic<uint32_t> wakeWhenConsumed;
};

// What the reader of bytes tells the writer of bytes; one cache line.
struct alignas(kLineBytes) ConsumerLine {
  // Bytes consumed, modulo 2^32, under the same rule.
  std::atomic<uint32_t> consumed;

  // The consumer wants an event when the producer's count passes this value.
  std::atomic<uint32_t> wakeWhenProduced;
};

struct Direction {
  ProducerLine producer;
  ConsumerLine consumer;
};

struct ControlPage {
  // The offer: written by the guest before it publishes the page's grant reference, read once by
  // the host's broker, never looked at again.
  std::atomic<uint32_t> magic;
  std::atomic<uint32_t> version;
  std::atomic<uint32_t> order;

  // `toHost`: the guest produces, the host consumes; `toGuest`: the other way round.
  alignas(kLineBytes) Direction toHost;
  Direction toGuest;

  // 1 while the guest lives; the guest's kernel clears it when the guest's pages go, and then
  // raises an event.
  alignas(kLineBytes) std::atomic<uint8_t> guestAlive;

  // 1 while the host is attached; the host's kernel clears it when the mapping goes, and then
  // raises an event.
  alignas(kLineBytes) std::atomic<uint8_t> hostAlive;

  // Set to 1 by the host after `hostAlive` and never cleared: `hostAlive == 0` means "left" from
  // then on, and "not here yet" before. A ring is used by one host, once.
  std::atomic<uint8_t> hostAttached;

  // Part of the offer: grant references of the data pages in the order of the mapping; 2 << order
  // of them count.
  alignas(1024) std::atomic<uint32_t> grants[kMaxDataPages];
};

static_assert(offsetof(ControlPage, toHost) == 64);
static_assert(offsetof(ControlPage, toGuest) == 192);
static_assert(offsetof(ControlPage, guestAlive) == 320);
static_assert(offsetof(ControlPage, hostAlive) == 384);
static_assert(offsetof(ControlPage, grants) == 1024);
static_assert(sizeof(ControlPage) <= kPageBytes);

// Pages of a whole ring.
constexpr uint32_t pagesFor(uint32_t order) { return 1 + (2u << order); }
constexpr uint32_t kMaxPages = pagesFor(kMaxOrder);

}  // namespace bulkhead::ring
