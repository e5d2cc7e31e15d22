// SPDX-License-Identifier: Apache-2.0
// Landlock by its system calls (glibc has no wrappers): the best the running kernel offers.
#pragma once

#include <linux/landlock.h>

#include <kj/io.h>

#include <cstdint>

namespace bulkhead::landlock {

// Rights below a path, as sets of LANDLOCK_ACCESS_FS_*.
inline constexpr uint64_t readRights = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
inline constexpr uint64_t writeRights =
    LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE | LANDLOCK_ACCESS_FS_MAKE_REG |
    LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
    LANDLOCK_ACCESS_FS_REFER;
inline constexpr uint64_t deviceRights =
    LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_IOCTL_DEV;

enum class Tcp { refused, connect };

// A set of rules under construction. It denies every file system right, listening on TCP,
// connecting over TCP unless allowed, abstract Unix sockets and signals of other domains, each as
// far as the kernel knows how.
class Ruleset {
 public:
  explicit Ruleset(Tcp tcp);

  // False on a kernel that has no Landlock or has it turned off; then nothing else may be called.
  bool supported() const { return descriptor.get() >= 0; }

  // Grants rights below a directory, or on one file. Rights this kernel does not know are left
  // out (it does not restrict them either), as are a directory's rights on a file.
  void allow(int object, uint64_t rights);

  // Binds the calling thread. no_new_privs must be set.
  void enforce();

 private:
  uint64_t handledFileRights = 0;
  kj::AutoCloseFd descriptor;
};

}  // namespace bulkhead::landlock
