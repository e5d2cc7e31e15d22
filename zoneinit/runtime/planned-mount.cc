// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/planned-mount.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>

#include "services/runtime/failure.h"
#include "zoneinit/runtime/fail-step.h"
#include "zoneinit/runtime/mount-fd.h"

namespace bulkhead::zone {
namespace {

kj::AutoCloseFd openZonePath(const ZonePathMount& from) {
  int raw = open(from.path.cStr(), O_PATH | O_CLOEXEC);
  if (raw < 0) {
    if (errno == ENOENT || errno == ENOTDIR) {
      fail(FailureCode::NOT_FOUND, from.path, "the zone has no such path to mount");
    }
    failStep(from.path, "opening a path to mount");
  }
  kj::AutoCloseFd path(raw);
  auto depth =
      from.depth == Depth::withMountsBelow ? MountDepth::withMountsBelow : MountDepth::alone;
  KJ_IF_MAYBE (mount, cloneMount(path, depth)) {
    return kj::mv(*mount);
  }
  failStep(from.path, "opening a path as a mount");
}

}  // namespace

unsigned long propagationFlag(Propagation propagation) {
  switch (propagation) {
    case Propagation::privately:
      return MS_PRIVATE;
    case Propagation::slave:
      return MS_SLAVE;
    case Propagation::shared:
      return MS_SHARED;
    case Propagation::unbindable:
      return MS_UNBINDABLE;
  }
  return MS_PRIVATE;
}

bool shapeMount(int mount, const MountSpec& spec) {
  unsigned attributes = spec.attributes;
  if (spec.writing == Writing::denied) attributes |= MOUNT_ATTR_RDONLY;
  bool below = spec.writing != Writing::deniedBelow ||
               changeMount(mount, MOUNT_ATTR_RDONLY, MountDepth::withMountsBelow);
  return below && changeMount(mount, attributes, MountDepth::alone) &&
         changeMount(mount, 0, MountDepth::withMountsBelow, propagationFlag(spec.propagation));
}

kj::Vector<PlannedMount> planMounts(const RuntimePaths& paths, kj::ArrayPtr<const MountSpec> mounts,
                                    int userNamespace) {
  kj::Vector<PlannedMount> planned;
  for (auto& mount : mounts) {
    PlannedMount next{&mount, {}};
    KJ_SWITCH_ONEOF(mount.source) {
      KJ_CASE_ONEOF(from, ZonePathMount) { next.source = openZonePath(from); }
      KJ_CASE_ONEOF(from, DiskMount) {
        auto access =
            mount.writing == Writing::allowed ? DiskAccess::readWrite : DiskAccess::readOnly;
        next.source = mountDisk(paths, from.disk, access);
        if (userNamespace >= 0 && !mapOwners(next.source, userNamespace)) {
          fail(FailureCode::UNSUPPORTED, from.disk,
               kj::str("its file system cannot show other owners: ", strerror(errno)));
        }
      }
      KJ_CASE_ONEOF(from, MemoryMount) {}
      KJ_CASE_ONEOF(from, KernelMount) {}
    }
    if (next.source != nullptr && !shapeMount(next.source, mount)) {
      failStep(mount.destination, "changing a mount's attributes");
    }
    planned.add(kj::mv(next));
  }
  return planned;
}

}  // namespace bulkhead::zone
