// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <kj/io.h>
#include <kj/string.h>

namespace bulkhead::zone {

// Where disks are found and containers' trees are put.
struct RuntimePaths {
  kj::String devices = kj::str("/dev");
  kj::String state = kj::str("/run/bulkhead");
  kj::String cgroups = kj::str("/sys/fs/cgroup");
};

// What containers read as /etc/resolv.conf, /etc/hosts and /etc/hostname.
struct NameFiles {
  kj::String resolver;
  kj::String hosts;
  kj::String hostname;
};

enum class DiskAccess { readOnly, readWrite };

// A disk's file system as a mount not yet attached, without devices and set-user-ID programs.
// `disk` is a block device with a squashfs, EROFS or ext4 file system, or (where tests have no
// block devices) a directory. Fails with `notFound` for a missing disk, `unsupported` for a disk
// that holds none of these, and `internal` with the step and errno for the rest.
kj::AutoCloseFd mountDisk(const RuntimePaths& paths, kj::StringPtr disk, DiskAccess access);

// How a container sees the owners of its files.
struct OwnerMap {
  int userNamespace = -1;  // borrowed; -1: as they are
  uid_t root = 0;          // whom the container's root is outside of it
  gid_t rootGroup = 0;
};

// The root of one container as the agent holds it: the image's disk read-only, an overlay on it
// whose upper layer is memory, and the files for /etc. The container's own mount namespace starts
// from here. Destroying it unmounts everything.
class ContainerRoot {
 public:
  // Mounts. Fails as `mountDisk` does.
  ContainerRoot(const RuntimePaths& paths, kj::StringPtr id, kj::StringPtr disk,
                const OwnerMap& owners);
  ~ContainerRoot() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(ContainerRoot);

  // The overlay's path in the zone, and a descriptor of it.
  kj::StringPtr path() const { return root; }
  int fd() const { return rootFd.get(); }

  // Writes the files for /etc anew, in place: a running container sees the change.
  void writeNameFiles(const NameFiles& files);

  // Directory of those files: "resolv.conf", "hosts", "hostname".
  kj::StringPtr nameFilesPath() const { return names; }

 private:
  kj::String base;
  kj::String lower;
  kj::String scratch;
  kj::String root;
  kj::String names;
  kj::AutoCloseFd rootFd;

  void mountAll(const RuntimePaths& paths, kj::StringPtr disk, const OwnerMap& owners);
  void unmountAll();
};

// Unmounts and removes what an earlier agent left below the state directory.
void clearLeftoverRoots(const RuntimePaths& paths);

}  // namespace bulkhead::zone
