// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <list>

#include <kj/async.h>
#include <kj/io.h>
#include <kj/string.h>
#include <kj/timer.h>

namespace bulkhead {

// Files of the store in memory, sealed: nobody, this process included, can change or cut them, so
// that whoever is handed one may check it and then use it where it lies. A file that was asked for
// lately is kept, since zones often start one after another; the memory is this process's own.
class SealedFiles {
 public:
  explicit SealedFiles(kj::Timer& timer) : timer(timer) {}
  KJ_DISALLOW_COPY_AND_MOVE(SealedFiles);

  // The bytes of the files `parts`, one behind the other, each part at a multiple of four as the
  // kernel wants its boot archives. `name` says what they are: the same name, the same bytes.
  // Errors: `exhausted` where there is too little memory.
  kj::AutoCloseFd get(kj::StringPtr name, kj::ArrayPtr<const int> parts);

 private:
  struct Entry {
    kj::String name;
    kj::AutoCloseFd file;
    uint64_t size;
    kj::TimePoint lastUse;
  };

  kj::Timer& timer;
  std::list<Entry> entries;  // the one used last is the last
  kj::Promise<void> expiry = nullptr;

  void keep(Entry entry);
  kj::Promise<void> expire();
};

}  // namespace bulkhead
