// SPDX-License-Identifier: Apache-2.0
// For tests: what a power cut may leave of a directory.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <random>
#include <string>

#include <kj/io.h>
#include <kj/string.h>

namespace bulkhead::testing {

// Watches every fsync, rename, unlink and mkdir that this process makes while it lives, and knows
// what of a directory is on the disk for certain: a file's content as of its last sync, a
// directory's entries as of its own. Everything later may be there or not, each on its own. The
// program that links this has its libc's calls replaced by ones that report here.
class PowerCut {
 public:
  // `directory` counts as synced, with all that is in it. `atMoment` is called before each of the
  // calls; `moment` counts them.
  PowerCut(kj::StringPtr directory,
           std::function<void(uint64_t moment, std::string call)> atMoment);
  ~PowerCut() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(PowerCut);

  uint64_t moments() const { return count; }

  // How the disk looks afterwards, of what was not synced.
  enum class Outcome {
    nothing,  // none of it is there
    names,    // all names are there, contents are as of the last sync
    everything,
    mixed,  // of each thing one or the other, or half of a content
  };

  // Makes a directory of what a cut at this moment leaves. `seed` decides where it is mixed.
  void leave(kj::StringPtr into, Outcome outcome, uint64_t seed) const;

  // For the calls.
  void before(std::string call);
  void synced(int fd);

 private:
  struct Inode {
    kj::AutoCloseFd held;  // so that its number is not given to another one
    bool isDirectory = false;
    std::string content;                   // as of the last sync
    std::map<std::string, ino_t> entries;  // as of the last sync
  };
  class Leaving;

  std::string root;
  std::function<void(uint64_t, std::string)> atMoment;
  std::map<ino_t, Inode> inodes;
  ino_t rootNumber = 0;
  uint64_t count = 0;
  bool busy = false;

  void scan(const std::string& path, bool isSynced);
};

}  // namespace bulkhead::testing
