// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <kj/debug.h>
#include <kj/io.h>

#include "idmd/ring/mapped-pages.h"
#include "idmd/ring/ring.h"

// What the ring's tests share: a ring over plain shared memory, its two ends mapped apart as in two
// domains.
namespace bulkhead::ring {

class TestMemory {
 public:
  explicit TestMemory(uint32_t order = kDefaultOrder) : order(order) {
    int raw;
    KJ_SYSCALL(raw = memfd_create("ring", MFD_CLOEXEC));
    fd = kj::AutoCloseFd(raw);
    KJ_SYSCALL(ftruncate(fd, static_cast<off_t>(pagesFor(order) * kPageBytes)));
    auto pages = map();
    auto grants = kj::heapArray<uint32_t>(2u << order);
    for (uint32_t i = 0; i < grants.size(); ++i) grants[i] = 100 + i;
    formatRing(pages.bytes(), grants);
  }

  MappedPages map() const {
    return MappedPages(fd, 0, pagesFor(order), MappedPages::Access::readWrite);
  }

  int descriptor() const { return fd; }

 private:
  uint32_t order;
  kj::AutoCloseFd fd;
};

// Two joined sockets in the place of an event channel.
struct TestEvents {
  kj::AutoCloseFd host;
  kj::AutoCloseFd guest;

  TestEvents() {
    int fds[2];
    KJ_SYSCALL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds));
    host = kj::AutoCloseFd(fds[0]);
    guest = kj::AutoCloseFd(fds[1]);
  }
};

// A small repeatable source of numbers (splitmix64): a failing run names its seed.
class Numbers {
 public:
  explicit Numbers(uint64_t seed) : state(seed) {}

  uint64_t next() {
    uint64_t z = (state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }

  // 0 to limit - 1.
  size_t below(size_t limit) { return static_cast<size_t>(next() % limit); }

 private:
  uint64_t state;
};

// The byte at a place of a test stream: any shift or repetition shows.
inline kj::byte patternAt(uint64_t position) {
  return static_cast<kj::byte>((position * 0x9e3779b97f4a7c15u) >> 56);
}

}  // namespace bulkhead::ring
