// SPDX-License-Identifier: Apache-2.0
#include "imaged/unpack/verity.h"

#include <string.h>

#include <span>

#include <kj/debug.h>
#include <kj/thread.h>
#include <kj/vector.h>

#include "imaged/file-bytes.h"
#include "imaged/unpack/processors.h"

namespace bulkhead {
namespace {

constexpr size_t kDigestBytes = 32;  // SHA-256
constexpr uint64_t kBlock = 4096;
constexpr uint64_t kHashesPerBlock = kBlock / kDigestBytes;
// Hash blocks that a thread makes between two writes: 8 MiB of data.
constexpr uint64_t kBatch = 16;
constexpr uint kMostThreads = 4;

// cryptsetup, "DM-Verity on-disk format"; numbers are little-endian.
struct Superblock {
  char signature[8] = {'v', 'e', 'r', 'i', 't', 'y', 0, 0};
  uint32_t version = 1;
  uint32_t hashType = 1;  // the salt comes first
  kj::byte uuid[16] = {};
  char algorithm[32] = "sha256";
  uint32_t dataBlockSize = kBlock;
  uint32_t hashBlockSize = kBlock;
  uint64_t dataBlocks = 0;
  uint16_t saltSize = 0;
  kj::byte padding[6] = {};
  kj::byte salt[256] = {};
  kj::byte unused[168] = {};
};
static_assert(sizeof(Superblock) == 512);

uint64_t hashBlocksFor(uint64_t blocks) { return (blocks + kHashesPerBlock - 1) / kHashesPerBlock; }

// Blocks in one file and where in another their hashes go.
struct Level {
  int from;
  uint64_t start;   // of the blocks, in bytes
  uint64_t blocks;  // to be hashed
  int to;
  uint64_t target;  // of the hashes, in bytes
  kj::ArrayPtr<const kj::byte> salt;

  // Makes the hash blocks from `first` up to `last`.
  void hash(uint64_t first, uint64_t last) const {
    Sha256 sum;
    auto input = kj::heapArray<kj::byte>(kHashesPerBlock * kBlock);
    auto output = kj::heapArray<kj::byte>(kBatch * kBlock);
    for (uint64_t batch = first; batch < last; batch += kBatch) {
      uint64_t count = kj::min(kBatch, last - batch);
      memset(output.begin(), 0, output.size());
      for (uint64_t i = 0; i < count; ++i) {
        uint64_t at = (batch + i) * kHashesPerBlock;
        uint64_t here = kj::min(kHashesPerBlock, blocks - at);
        readAt(from, start + at * kBlock, input.slice(0, here * kBlock));
        for (uint64_t j = 0; j < here; ++j) {
          sum.update(salt);
          sum.update(input.slice(j * kBlock, (j + 1) * kBlock));
          auto digest = sum.finish();
          auto place = output.slice(i * kBlock + j * kDigestBytes, output.size());
          memcpy(place.begin(), digest.bytes().begin(), kDigestBytes);
        }
      }
      writeAt(to, target + batch * kBlock, output.slice(0, count * kBlock));
    }
  }

  // All of them, on as many threads as are worth it.
  void hash() const {
    uint64_t all = hashBlocksFor(blocks);
    uint64_t threads = kj::min(uint64_t{processors(kMostThreads)}, (all + kBatch - 1) / kBatch);
    uint64_t share = (all + threads - 1) / threads;
    kj::Vector<kj::Maybe<kj::Exception>> errors(threads);
    for (uint64_t i = 0; i < threads; ++i) errors.add();
    {
      kj::Vector<kj::Own<kj::Thread>> running;
      for (uint64_t i = 1; i < threads; ++i) {
        running.add(kj::heap<kj::Thread>([this, i, share, all, &errors]() {
          errors[i] = kj::runCatchingExceptions(
              [&]() { hash(kj::min(all, i * share), kj::min(all, (i + 1) * share)); });
        }));
      }
      errors[0] = kj::runCatchingExceptions([&]() { hash(0, kj::min(all, share)); });
    }
    for (auto& error : errors) {
      KJ_IF_MAYBE (e, error) kj::throwFatalException(kj::mv(*e));
    }
  }
};

// One number for one image, as everything else: RFC 9562, version 8.
void makeUuid(kj::ArrayPtr<const kj::byte> salt, kj::byte (&uuid)[16]) {
  auto digest = Digest::of(salt);
  memcpy(uuid, digest.bytes().begin(), sizeof uuid);
  std::span fields(uuid);
  fields[6] = static_cast<kj::byte>((fields[6] & 0x0f) | 0x80);
  fields[8] = static_cast<kj::byte>((fields[8] & 0x3f) | 0x80);
}

}  // namespace

VerityTree writeVerityTree(int data, uint64_t bytes, kj::ArrayPtr<const kj::byte> salt,
                           int output) {
  KJ_REQUIRE(bytes > 0 && bytes % kBlock == 0 && salt.size() <= sizeof(Superblock::salt));
  auto front = kj::heapArray<kj::byte>(kBlock);
  memset(front.begin(), 0, front.size());
  Superblock superblock;
  superblock.dataBlocks = bytes / kBlock;
  superblock.saltSize = static_cast<uint16_t>(salt.size());
  memcpy(superblock.salt, salt.begin(), salt.size());
  makeUuid(salt, superblock.uuid);
  memcpy(front.begin(), &superblock, sizeof superblock);
  writeAt(output, 0, front);

  // The level that hashes the data comes last in the file, the one of a single block first.
  kj::Vector<uint64_t> sizes;
  for (uint64_t blocks = bytes / kBlock; blocks > 1;) {
    blocks = hashBlocksFor(blocks);
    sizes.add(blocks);
  }
  uint64_t end = kBlock;
  for (uint64_t size : sizes) end += size * kBlock;
  Level level{data, 0, bytes / kBlock, output, end, salt};
  for (uint64_t size : sizes) {
    level.target -= size * kBlock;
    level.hash();
    level = Level{output, level.target, size, output, level.target, salt};
  }
  auto top = kj::heapArray<kj::byte>(kBlock);
  readAt(level.from, level.start, top);
  Sha256 sum;
  sum.update(salt);
  sum.update(top);
  return {sum.finish(), end};
}

}  // namespace bulkhead
