// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async.h>
#include <kj/refcount.h>
#include <kj/string.h>
#include <kj/vector.h>

#include "schemas/hypervisor.capnp.h"

namespace bulkhead::hvd {

// The last 64 KiB that a console said, and those who follow it. Outlives the guest while somebody
// still reads.
class ConsoleHistory final : public kj::Refcounted {
 public:
  static constexpr size_t kCapacity = 64u << 10;

  void append(kj::ArrayPtr<const kj::byte> bytes);

  // No more will come: followers end.
  void close();

  // Positions count all bytes ever said.
  uint64_t begin() const { return total - stored; }
  uint64_t end() const { return total; }
  bool closed() const { return isClosed; }

  // At most `limit` bytes from `position`, or from `begin()` if that is later.
  kj::Array<kj::byte> copyFrom(uint64_t position, size_t limit) const;

  // Resolves when something was appended or the history was closed.
  kj::Promise<void> whenChanged();

  // The last bytes, made safe for an error message: printable ASCII, newlines and tabs only,
  // without terminal sequences. `limit` counts bytes of the result.
  kj::String tail(size_t limit) const;

  // Writes what is kept, and for `follow` all that comes, into the sink. A sink that takes longer
  // than the history reaches misses what was dropped meanwhile.
  static kj::Promise<void> stream(kj::Own<ConsoleHistory> history, schema::ByteStream::Client sink,
                                  schema::ConsoleMode mode);

 private:
  kj::Array<kj::byte> ring = kj::heapArray<kj::byte>(kCapacity);
  uint64_t total = 0;
  size_t stored = 0;
  bool isClosed = false;
  kj::Vector<kj::Own<kj::PromiseFulfiller<void>>> waiters;

  void wake();
};

// A `Handle` whose holder keeps a console stream going: dropping it stops the stream.
schema::Handle::Client streamConsole(kj::Own<ConsoleHistory> history,
                                     schema::ByteStream::Client sink, schema::ConsoleMode mode);

}  // namespace bulkhead::hvd
