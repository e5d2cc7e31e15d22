// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/landlock.h"

#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <kj/debug.h>

#include <cerrno>

namespace bulkhead::landlock {
namespace {

// All rights up to and including `last`.
constexpr uint64_t through(uint64_t last) { return last | (last - 1); }

// What each version of the interface can restrict, from include/uapi/linux/landlock.h: 1 is Linux
// 5.13; 2 adds REFER, 3 TRUNCATE, 4 TCP, 5 IOCTL_DEV, 6 (Linux 6.12) the scopes.
uint64_t fileRightsOf(int version) {
  if (version >= 5) return through(LANDLOCK_ACCESS_FS_IOCTL_DEV);
  if (version >= 3) return through(LANDLOCK_ACCESS_FS_TRUNCATE);
  if (version >= 2) return through(LANDLOCK_ACCESS_FS_REFER);
  return through(LANDLOCK_ACCESS_FS_MAKE_SYM);
}

// The rights that exist on something other than a directory.
constexpr uint64_t fileOnlyRights = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                                    LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_TRUNCATE |
                                    LANDLOCK_ACCESS_FS_IOCTL_DEV;

}  // namespace

Ruleset::Ruleset(Tcp tcp) {
  long version = syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (version < 0) {
    int error = errno;
    if (error == ENOSYS || error == EOPNOTSUPP) return;
    KJ_FAIL_SYSCALL("landlock_create_ruleset", error);
  }
  handledFileRights = fileRightsOf(static_cast<int>(version));
  landlock_ruleset_attr attributes{};
  attributes.handled_access_fs = handledFileRights;
  if (version >= 4) {
    attributes.handled_access_net = LANDLOCK_ACCESS_NET_BIND_TCP;
    if (tcp == Tcp::refused) attributes.handled_access_net |= LANDLOCK_ACCESS_NET_CONNECT_TCP;
  }
  if (version >= 6) {
    attributes.scoped = LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | LANDLOCK_SCOPE_SIGNAL;
  }
  // The kernel refuses a structure longer than it knows unless the rest is zero, which it then is.
  long raw;
  KJ_SYSCALL(raw = syscall(SYS_landlock_create_ruleset, &attributes, sizeof(attributes), 0));
  descriptor = kj::AutoCloseFd(static_cast<int>(raw));
}

void Ruleset::allow(int object, uint64_t rights) {
  struct stat status;
  KJ_SYSCALL(fstat(object, &status));
  rights &= handledFileRights;
  if (!S_ISDIR(status.st_mode)) rights &= fileOnlyRights;
  landlock_path_beneath_attr rule{rights, object};
  KJ_SYSCALL(
      syscall(SYS_landlock_add_rule, descriptor.get(), LANDLOCK_RULE_PATH_BENEATH, &rule, 0));
}

void Ruleset::enforce() { KJ_SYSCALL(syscall(SYS_landlock_restrict_self, descriptor.get(), 0)); }

}  // namespace bulkhead::landlock
