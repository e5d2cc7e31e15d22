// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async-unix.h>
#include <kj/io.h>
#include <kj/string.h>

#include "zoneinit/runtime/settings.h"

namespace bulkhead::zone {

// The part of the cgroup2 tree that containers live in: one directory for all of them below the
// given base, one below that for each.
class CgroupTree {
 public:
  // Makes the directory and hands down the controllers there are. Kills and removes what an earlier
  // agent left, whose containers nobody can wait for any more.
  CgroupTree(kj::UnixEventPort& eventPort, kj::StringPtr base);

  bool hasMemory() const { return memory; }
  bool hasPids() const { return pids; }
  kj::StringPtr path() const { return directory; }
  kj::StringPtr top() const { return base; }
  kj::UnixEventPort& port() { return eventPort; }

 private:
  kj::UnixEventPort& eventPort;
  kj::String base;
  kj::String directory;
  bool memory = false;
  bool pids = false;
};

struct CgroupLimits {
  uint64_t memoryBytes = 0;  // 0: none
  uint32_t pids = 0;         // 0: three quarters of what the zone's kernel allows, 4096 at most
};

// One container's cgroup, or a part of one. Destroying the object kills what is left in it and
// removes it.
class Cgroup {
 public:
  // A container's. Device nodes in it reach only the harmless devices and those of the settings,
  // unless the container is privileged. Fails with `unsupported` where a limit is asked for that
  // this kernel cannot set, and with `invalid` for a setting that it refuses.
  Cgroup(CgroupTree& tree, kj::StringPtr name, CgroupLimits limits,
         const ContainerSettings& settings);

  // A part of another, so that what is in it can be killed alone.
  Cgroup(const Cgroup& whole, kj::StringPtr name);
  ~Cgroup() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(Cgroup);

  // For CLONE_INTO_CGROUP.
  int fd() const { return directory.get(); }

  // SIGKILL to everything in it.
  void kill();

  // Resolves when no process lives in it.
  kj::Promise<void> whenEmpty();

  // A descriptor of its own, for who may outlive this object.
  kj::AutoCloseFd duplicate() const;

  // Where a further process of this container can live: in it, or, where the container has given
  // the controllers to parts it made itself, in the part that `process` lives in.
  kj::AutoCloseFd placeBeside(pid_t process) const;

 private:
  kj::UnixEventPort& eventPort;
  kj::String top;  // where the tree of cgroups is mounted
  kj::String path;
  kj::AutoCloseFd directory;

  void limit(const CgroupTree& tree, CgroupLimits limits);
  void apply(const Setting& setting);
};

// SIGKILL to everything in a cgroup and its parts.
void killCgroup(int cgroup);

// How often the kernel killed something in a cgroup for want of memory.
uint64_t outOfMemoryKills(int cgroup);

}  // namespace bulkhead::zone
