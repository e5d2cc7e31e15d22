// SPDX-License-Identifier: Apache-2.0
#include "imaged/unpack/chunk-queue.h"

#include <kj/debug.h>

namespace bulkhead {

ChunkQueue::ChunkQueue(size_t chunkBytes, uint chunks)
    : chunkBytes(chunkBytes),
      chunks(chunks),
      memory(kj::heapArray<kj::byte>(chunkBytes * chunks)),
      filled(kj::heapArray<size_t>(chunks)) {}

kj::ArrayPtr<kj::byte> ChunkQueue::buffer(uint64_t number) {
  size_t start = number % chunks * chunkBytes;
  return memory.slice(start, start + chunkBytes);
}

kj::Maybe<kj::ArrayPtr<kj::byte>> ChunkQueue::claim() {
  bool isFull;
  {
    auto lock = state.lockExclusive();
    isFull = lock->made - lock->oldest() >= chunks;
  }
  auto most = isFull ? kj::max(1u, chunks / 2) : chunks;
  return state.when([most](const State& s) { return s.abandoned || s.made - s.oldest() < most; },
                    [this](State& s) -> kj::Maybe<kj::ArrayPtr<kj::byte>> {
                      if (s.abandoned) return nullptr;
                      return buffer(s.made);
                    });
}

void ChunkQueue::publish(size_t bytes) {
  auto lock = state.lockExclusive();
  filled[lock->made % chunks] = bytes;
  ++lock->made;
}

void ChunkQueue::end(kj::Maybe<kj::Exception> error) {
  auto lock = state.lockExclusive();
  lock->ended = true;
  lock->error = kj::mv(error);
}

kj::ArrayPtr<const kj::byte> ChunkQueue::next(Reader reader) {
  bool isEmpty;
  {
    auto lock = state.lockExclusive();
    if (lock->holds[reader]) ++lock->released[reader];
    lock->holds[reader] = false;
    isEmpty = lock->made == lock->released[reader];
  }
  auto least = isEmpty ? kj::max(1u, chunks / 4) : 1u;
  return state.when(
      [reader, least](const State& s) {
        return s.abandoned || s.ended || s.made >= s.released[reader] + least;
      },
      [this, reader](State& s) -> kj::ArrayPtr<const kj::byte> {
        if (s.abandoned) return nullptr;
        uint64_t number = s.released[reader];
        if (s.made > number) {
          s.holds[reader] = true;
          return buffer(number).slice(0, filled[number % chunks]);
        }
        KJ_IF_MAYBE (error, s.error) kj::throwFatalException(kj::cp(*error));
        return nullptr;
      });
}

void ChunkQueue::abandon() { state.lockExclusive()->abandoned = true; }

}  // namespace bulkhead
