// SPDX-License-Identifier: Apache-2.0
#include "imaged/unpack/chunk-queue.h"

#include <kj/debug.h>

namespace bulkhead {

ChunkQueue::ChunkQueue(size_t chunkBytes, size_t chunks)
    : chunkBytes(chunkBytes),
      chunks(chunks),
      memory(kj::heapArray<kj::byte>(chunkBytes * chunks)),
      filled(kj::heapArray<size_t>(chunks)) {}

kj::ArrayPtr<kj::byte> ChunkQueue::buffer(uint64_t number) {
  size_t start = number % chunks * chunkBytes;
  return memory.slice(start, start + chunkBytes);
}

kj::Maybe<kj::ArrayPtr<kj::byte>> ChunkQueue::claim() {
  return state.when([this](const State& s) { return s.abandoned || s.made - s.oldest() < chunks; },
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
  {
    auto lock = state.lockExclusive();
    if (lock->holds[reader]) ++lock->released[reader];
    lock->holds[reader] = false;
  }
  return state.when(
      [reader](const State& s) { return s.abandoned || s.ended || s.made > s.released[reader]; },
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
