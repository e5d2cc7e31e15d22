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

  uint64_t hashBlocks() const { return hashBlocksFor(blocks); }
};

// `sum` is as new, before and after.
Digest hashOf(Sha256& sum, kj::ArrayPtr<const kj::byte> salt, kj::ArrayPtr<const kj::byte> block) {
  sum.update(salt);
  sum.update(block);
  return sum.finish();
}

// Makes hash blocks, a batch at a time.
class Hasher {
 public:
  explicit Hasher(const Level& level)
      : level(level),
        input(kj::heapArray<kj::byte>(kHashesPerBlock * kBlock)),
        output(kj::heapArray<kj::byte>(kBatch * kBlock)) {}

  // `count` of them from the `first` on, at most a batch. Valid until the next call.
  kj::ArrayPtr<const kj::byte> make(uint64_t first, uint64_t count) {
    memset(output.begin(), 0, output.size());
    for (uint64_t i = 0; i < count; ++i) {
      uint64_t at = (first + i) * kHashesPerBlock;
      uint64_t here = kj::min(kHashesPerBlock, level.blocks - at);
      readAt(level.from, level.start + at * kBlock, input.slice(0, here * kBlock));
      for (uint64_t j = 0; j < here; ++j) {
        auto digest = hashOf(sum, level.salt, input.slice(j * kBlock, (j + 1) * kBlock));
        auto place = output.slice(i * kBlock + j * kDigestBytes, output.size());
        memcpy(place.begin(), digest.bytes().begin(), kDigestBytes);
      }
    }
    return output.slice(0, count * kBlock);
  }

 private:
  const Level& level;
  Sha256 sum;
  kj::Array<kj::byte> input;
  kj::Array<kj::byte> output;
};

// Writes the hash blocks from `first` up to `last`.
void writeHashes(const Level& level, uint64_t first, uint64_t last) {
  Hasher hasher(level);
  for (uint64_t batch = first; batch < last; batch += kBatch) {
    auto hashes = hasher.make(batch, kj::min(kBatch, last - batch));
    writeAt(level.to, level.target + batch * kBlock, hashes);
  }
}

// All of them, on as many threads as are worth it.
void writeHashes(const Level& level) {
  uint64_t all = level.hashBlocks();
  uint64_t threads = kj::min(uint64_t{processors(kMostThreads)}, (all + kBatch - 1) / kBatch);
  uint64_t share = (all + threads - 1) / threads;
  kj::Vector<kj::Maybe<kj::Exception>> errors(threads);
  for (uint64_t i = 0; i < threads; ++i) errors.add();
  {
    kj::Vector<kj::Own<kj::Thread>> running;
    for (uint64_t i = 1; i < threads; ++i) {
      running.add(kj::heap<kj::Thread>([&level, i, share, all, &errors]() {
        errors[i] = kj::runCatchingExceptions(
            [&]() { writeHashes(level, kj::min(all, i * share), kj::min(all, (i + 1) * share)); });
      }));
    }
    errors[0] = kj::runCatchingExceptions([&]() { writeHashes(level, 0, kj::min(all, share)); });
  }
  for (auto& error : errors) {
    KJ_IF_MAYBE (e, error) kj::throwFatalException(kj::mv(*e));
  }
}

// How the hash file of so many blocks is laid out: the superblock, then the levels. The one that
// hashes the data comes last, the one of a single block first.
struct Layout {
  kj::Vector<uint64_t> levels;  // blocks of each, from the data upwards
  uint64_t end = kBlock;        // in bytes

  explicit Layout(uint64_t blocks) {
    while (blocks > 1) {
      blocks = hashBlocksFor(blocks);
      levels.add(blocks);
      end += blocks * kBlock;
    }
  }

  // Where the hashes of the data begin. There must be some.
  uint64_t lowest() const { return end - levels[0] * kBlock; }
};

Digest hashOfBlock(kj::ArrayPtr<const kj::byte> salt, int file, uint64_t offset) {
  auto block = kj::heapArray<kj::byte>(kBlock);
  readAt(file, offset, block);
  Sha256 sum;
  return hashOf(sum, salt, block);
}

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

  Layout layout(bytes / kBlock);
  Level level{data, 0, bytes / kBlock, output, layout.end, salt};
  for (uint64_t size : layout.levels) {
    level.target -= size * kBlock;
    writeHashes(level);
    level = Level{output, level.target, size, output, level.target, salt};
  }
  return {hashOfBlock(salt, level.from, level.start), layout.end};
}

struct VerityCheck::State {
  Layout layout;
  Level level;
  Hasher hasher;
  kj::Array<kj::byte> expected = kj::heapArray<kj::byte>(kBatch * kBlock);

  State(int data, uint64_t bytes, int tree, kj::ArrayPtr<const kj::byte> salt)
      : layout(bytes / kBlock),
        level{data, 0, bytes / kBlock, tree, layout.levels.size() == 0 ? 0 : layout.lowest(), salt},
        hasher(level) {}

  // The single block above all others, which a file of one block is itself.
  Digest top() const {
    if (layout.levels.size() == 0) return hashOfBlock(level.salt, level.from, 0);
    return hashOfBlock(level.salt, level.to, kBlock);
  }
};

VerityCheck::VerityCheck(int data, int tree, kj::ArrayPtr<const kj::byte> salt,
                         kj::ArrayPtr<const kj::byte> root)
    : bytes(sizeOf(data)) {
  if (bytes == 0 || bytes % kBlock != 0) return;
  state = kj::heap<State>(data, bytes, tree, salt);
  if (sizeOf(tree) != state->layout.end) return;
  good = state->top().bytes() == root;
}

VerityCheck::~VerityCheck() noexcept(false) {}

bool VerityCheck::next() {
  uint64_t all = good && state->layout.levels.size() > 0 ? state->level.hashBlocks() : 0;
  if (done >= all) return false;
  uint64_t count = kj::min(kBatch, all - done);
  auto expected = state->expected.slice(0, count * kBlock);
  readAt(state->level.to, state->level.target + done * kBlock, expected);
  good = state->hasher.make(done, count) == expected;
  done += count;
  return good;
}

uint64_t VerityCheck::position() const { return kj::min(bytes, done * kHashesPerBlock * kBlock); }

}  // namespace bulkhead
