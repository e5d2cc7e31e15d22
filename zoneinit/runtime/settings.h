// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <array>

#include <kj/array.h>
#include <kj/one-of.h>
#include <kj/string.h>

#include "schemas/container.capnp.h"

namespace bulkhead::zone {

// What all processes of a container have in common, checked: schemas/container.capnp says what the
// parts mean. Every text is bounded and free of NUL bytes, every path absolute.

enum class Confinement { confined, privileged };
enum class Propagation { privately, slave, shared, unbindable };
enum class Writing { allowed, denied, deniedBelow };
enum class Depth { alone, withMountsBelow };
enum class PathDefaults { kept, dropped };

// As tmpfs(5) reads them.
struct MemoryMount {
  kj::String size;  // empty: half of the zone's memory
  kj::String mode;
};
struct ZonePathMount {
  kj::String path;
  Depth depth;
};
struct DiskMount {
  kj::String disk;
};
struct KernelMount {
  kj::StringPtr type;
};

struct MountSpec {
  kj::String destination;
  kj::OneOf<MemoryMount, ZonePathMount, DiskMount, KernelMount> source;
  Writing writing;
  Propagation propagation;
  unsigned attributes;  // MOUNT_ATTR_*, except that for writing
};

enum class NamespaceKind : uint8_t { process, network, ipc, hostName, cgroup, user, time };
constexpr size_t kNamespaceKinds = 7;

struct NamespaceChoice {
  enum class From : uint8_t { own, zone, workload };
  From from;
  kj::String workload;  // its id
};

// As many bits as access letters.
constexpr unsigned kDeviceRead = 1, kDeviceWrite = 2, kDeviceMake = 4;

struct DeviceSpec {
  kj::String name;  // below /dev, possibly in a folder
  enum class Type : uint8_t { character, block };
  Type type;
  uint32_t major;
  uint32_t minor;
  unsigned access;  // kDevice*
  mode_t mode;
  uid_t user;
  gid_t group;
};

struct IdMapping {
  uint32_t inside;
  uint32_t outside;
  uint32_t count;
};

struct Setting {
  kj::String key;
  kj::String value;
};

struct StandardSystemCalls {};
struct EverySystemCall {};
struct SystemCallProfile {
  kj::Array<kj::byte> json;
};

struct ContainerSettings {
  kj::Array<MountSpec> mounts;
  std::array<NamespaceChoice, kNamespaceKinds> namespaces;
  kj::Array<IdMapping> userMappings;
  kj::Array<IdMapping> groupMappings;
  Confinement confinement = Confinement::confined;
  kj::Array<kj::String> maskedPaths;
  kj::Array<kj::String> readOnlyPaths;
  PathDefaults pathDefaults = PathDefaults::kept;
  kj::OneOf<StandardSystemCalls, EverySystemCall, SystemCallProfile> systemCalls;
  kj::Array<DeviceSpec> devices;
  kj::Array<Setting> sysctls;  // keys are paths below /proc/sys
  kj::Array<Setting> cgroup;
  Propagation rootPropagation = Propagation::privately;
  uint64_t sharedMemoryBytes = 0;
  kj::String domainName;

  const NamespaceChoice& choice(NamespaceKind kind) const {
    return namespaces[static_cast<size_t>(kind)];
  }
};

enum class NetworkMode { zone, none };

// `networkMode` none gives it a network namespace of its own. Fails with `invalid`, naming the
// field.
ContainerSettings readContainerSettings(schema::ContainerSettings::Reader reader,
                                        NetworkMode networkMode);

}  // namespace bulkhead::zone
