// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "imaged/digest.h"
#include "services/runtime/progress.h"

namespace bulkhead {

// A blob on its way into a file: what has come and what it hashes to. It survives connections, and
// may begin at one registry and end at another.
class BlobDownload {
 public:
  // Writes from offset 0 on. `fd` and `progress` are borrowed.
  BlobDownload(Digest digest, uint64_t size, int fd, Progress& progress);

  const Digest& digest() const { return expected; }
  uint64_t size() const { return total; }

  // The first byte that is still missing.
  uint64_t position() const { return next; }

  // A further answer begins: one of status 200 brings everything again.
  void beginAnswer() { fresh = true; }

  // Fails with `digestMismatch` where there are more bytes than announced, or `exhausted`.
  void take(long status, kj::ArrayPtr<const kj::byte> bytes);

  // Whether all of it is there and is what was asked for. Fails with `digestMismatch` where that
  // cannot become true any more. Otherwise it starts over: what came in pieces may have come from
  // two different wholes.
  bool complete();

 private:
  Digest expected;
  uint64_t total;
  int fd;
  Progress& progress;
  kj::String subject;
  Hash hash;
  uint64_t next = 0;
  bool fresh = true;
  uint answers = 0;
  enum class Restart { possible, used } restart = Restart::possible;
};

}  // namespace bulkhead
