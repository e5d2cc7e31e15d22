// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/settings.h"

#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "services/runtime/failure.h"
#include "zoneinit/runtime/checked-text.h"

namespace bulkhead::zone {
namespace {

constexpr uint kMostMounts = 64;
constexpr uint kMostPaths = 256;
constexpr uint kMostDevices = 64;
constexpr uint kMostSettings = 64;
constexpr uint kMostMappings = 16;
constexpr size_t kMostSettingBytes = 4096;
constexpr size_t kMostProfileBytes = 256 << 10;
constexpr size_t kMostDomainNameBytes = 64;
constexpr mode_t kPermissions = 07777;
constexpr uint32_t kMostMajor = 4095, kMostMinor = (1 << 20) - 1;  // makedev(3) of Linux

constexpr kj::StringPtr kKernelTrees[] = {"proc"_kj, "sysfs"_kj, "cgroup2"_kj, "mqueue"_kj,
                                          "devpts"_kj};

// What /dev has besides devices.
constexpr kj::StringPtr kStandardPlaces[] = {"fd"_kj,     "stdin"_kj,  "stdout"_kj,
                                             "stderr"_kj, "ptmx"_kj,   "pts"_kj,
                                             "shm"_kj,    "mqueue"_kj, "console"_kj};

// Those of the IPC namespace; beside them all of fs/mqueue and of net belong to a namespace
// (Linux, Documentation/admin-guide/sysctl/kernel.rst).
constexpr kj::StringPtr kOwnSysctls[] = {
    "kernel/msgmax"_kj, "kernel/msgmnb"_kj, "kernel/msgmni"_kj, "kernel/sem"_kj,
    "kernel/shmall"_kj, "kernel/shmmax"_kj, "kernel/shmmni"_kj, "kernel/shm_rmid_forced"_kj};

template <typename List>
void limitCount(const List& list, kj::StringPtr what, uint most) {
  if (list.size() > most) invalid(what, kj::str("has more than ", most, " entries"));
}

template <typename Result, typename List, typename Read>
kj::Array<Result> readAll(const List& list, kj::StringPtr what, uint most, Read read) {
  limitCount(list, what, most);
  auto result = kj::heapArrayBuilder<Result>(list.size());
  for (auto each : list) result.add(read(each));
  return result.finish();
}

bool hasParentStep(kj::StringPtr path) {
  auto wrapped = kj::str("/", path, "/");
  return strstr(wrapped.cStr(), "/../") != nullptr;
}

template <typename Enum>
bool isKnown(Enum value, Enum last) {
  return static_cast<uint16_t>(value) <= static_cast<uint16_t>(last);
}

Propagation readPropagation(schema::Propagation value) {
  switch (value) {
    case schema::Propagation::PRIVATE:
      return Propagation::privately;
    case schema::Propagation::SLAVE:
      return Propagation::slave;
    case schema::Propagation::SHARED:
      return Propagation::shared;
    case schema::Propagation::UNBINDABLE:
      return Propagation::unbindable;
  }
  invalid("propagation", "is not one this agent knows");
}

Writing readWriting(schema::Mount::Writing value) {
  switch (value) {
    case schema::Mount::Writing::ALLOWED:
      return Writing::allowed;
    case schema::Mount::Writing::DENIED:
      return Writing::denied;
    case schema::Mount::Writing::DENIED_BELOW:
      return Writing::deniedBelow;
  }
  invalid("mounts.writing", "is not one this agent knows");
}

Depth readDepth(schema::Mount::Depth value) {
  switch (value) {
    case schema::Mount::Depth::ALONE:
      return Depth::alone;
    case schema::Mount::Depth::WITH_MOUNTS_BELOW:
      return Depth::withMountsBelow;
  }
  invalid("mounts.depth", "is not one this agent knows");
}

mode_t checkedMode(uint16_t mode, mode_t otherwise, kj::StringPtr what) {
  if ((mode & ~kPermissions) != 0) invalid(what, "is no set of permissions");
  return mode == 0 ? otherwise : mode;
}

KernelMount readKernelMount(kj::StringPtr type) {
  for (auto known : kKernelTrees) {
    if (type == known) return {known};
  }
  invalid(printable(type, 64), "the runtime mounts no such file system",
          "proc, sysfs, cgroup2, mqueue and devpts are those there are");
}

MemoryMount readMemoryMount(schema::Mount::Memory::Reader reader) {
  char mode[8];
  snprintf(mode, sizeof mode, "%04o",
           checkedMode(reader.getMode(), S_ISVTX | 0777, "mounts.memory.mode"));
  return {reader.getBytes() == 0 ? kj::String() : kj::str(reader.getBytes()), kj::str(mode)};
}

MountSpec readMount(schema::Mount::Reader reader) {
  MountSpec mount;
  mount.destination = checkedPath(reader.getDestination(), "mounts.destination");
  if (hasParentStep(mount.destination)) {
    invalid(printable(mount.destination, 256), "the destination of a mount has no '..'");
  }
  switch (reader.which()) {
    case schema::Mount::MEMORY:
      mount.source = readMemoryMount(reader.getMemory());
      break;
    case schema::Mount::ZONE_PATH:
      mount.source = ZonePathMount{checkedPath(reader.getZonePath(), "mounts.zonePath"),
                                   readDepth(reader.getDepth())};
      break;
    case schema::Mount::DISK:
      mount.source = DiskMount{checkedDisk(reader.getDisk(), "mounts.disk")};
      break;
    case schema::Mount::KERNEL:
      mount.source = readKernelMount(reader.getKernel());
      break;
    default:
      invalid("mounts", "one has a source that this agent does not know");
  }
  mount.writing = readWriting(reader.getWriting());
  mount.propagation = readPropagation(reader.getPropagation());
  mount.attributes = (reader.getNoExecution() ? MOUNT_ATTR_NOEXEC : 0u) |
                     (reader.getNoDevices() ? MOUNT_ATTR_NODEV : 0u) |
                     (reader.getNoSetUserId() ? MOUNT_ATTR_NOSUID : 0u);
  return mount;
}

NamespaceKind readKind(schema::NamespaceChoice::Kind kind) {
  if (!isKnown(kind, schema::NamespaceChoice::Kind::TIME)) {
    invalid("namespaces", "has a kind that this agent does not know");
  }
  return static_cast<NamespaceKind>(kind);
}
static_assert(static_cast<uint16_t>(schema::NamespaceChoice::Kind::TIME) + 1 == kNamespaceKinds);

void readNamespaces(capnp::List<schema::NamespaceChoice>::Reader list,
                    std::array<NamespaceChoice, kNamespaceKinds>& namespaces) {
  using From = NamespaceChoice::From;
  for (auto& each : namespaces) each.from = From::own;
  for (auto kind : {NamespaceKind::network, NamespaceKind::user, NamespaceKind::time}) {
    namespaces[static_cast<size_t>(kind)].from = From::zone;
  }
  limitCount(list, "namespaces", kNamespaceKinds);
  unsigned seen = 0;
  for (auto reader : list) {
    auto index = static_cast<size_t>(readKind(reader.getKind()));
    if ((seen & 1u << index) != 0) invalid("namespaces", "names a kind twice");
    seen |= 1u << index;
    auto& choice = namespaces[index];
    switch (reader.which()) {
      case schema::NamespaceChoice::OWN:
        choice.from = From::own;
        break;
      case schema::NamespaceChoice::ZONE:
        choice.from = From::zone;
        break;
      case schema::NamespaceChoice::WORKLOAD:
        choice.from = From::workload;
        choice.workload = checkedId(reader.getWorkload());
        break;
      default:
        invalid("namespaces", "has a choice that this agent does not know");
    }
  }
}

IdMapping readMapping(schema::IdMapping::Reader reader) {
  IdMapping mapping{reader.getInside(), reader.getOutside(), reader.getCount()};
  // The last number of all stands for "none" in many calls.
  constexpr uint64_t kEnd = UINT32_MAX;
  if (mapping.count == 0 || uint64_t{mapping.inside} + mapping.count > kEnd ||
      uint64_t{mapping.outside} + mapping.count > kEnd) {
    invalid("userMappings", "one is empty or goes beyond 4294967294");
  }
  return mapping;
}

unsigned readAccess(kj::StringPtr letters) {
  if (letters.size() == 0) return kDeviceRead | kDeviceWrite | kDeviceMake;
  unsigned access = 0;
  for (char letter : letters) {
    switch (letter) {
      case 'r':
        access |= kDeviceRead;
        break;
      case 'w':
        access |= kDeviceWrite;
        break;
      case 'm':
        access |= kDeviceMake;
        break;
      default:
        invalid("devices.access", "holds other letters than r, w and m");
    }
  }
  return access;
}

DeviceSpec readDevice(schema::Device::Reader reader) {
  DeviceSpec device;
  auto path = checkedPath(reader.getPath(), "devices.path");
  if (!path.startsWith("/dev/") || path.endsWith("/") || hasParentStep(path)) {
    invalid(printable(path, 256), "this is no path of a device", "it stands below /dev");
  }
  device.name = kj::str(path.slice(5));
  auto first = device.name.slice(0, device.name.findFirst('/').orDefault(device.name.size()));
  for (auto taken : kStandardPlaces) {
    if (first == taken) {
      invalid(printable(path, 256), "this place in /dev is every container's own");
    }
  }
  if (!isKnown(reader.getType(), schema::Device::Type::BLOCK)) {
    invalid("devices.type", "is not one this agent knows");
  }
  device.type = reader.getType() == schema::Device::Type::BLOCK ? DeviceSpec::Type::block
                                                                : DeviceSpec::Type::character;
  device.major = reader.getMajor();
  device.minor = reader.getMinor();
  if (device.major > kMostMajor || device.minor > kMostMinor) {
    invalid(printable(path, 256), "there are no such numbers of a device");
  }
  device.access = readAccess(checkedText(reader.getAccess(), "devices.access", 3));
  device.mode = checkedMode(reader.getMode(), 0666, "devices.mode");
  device.user = reader.getUser();
  device.group = reader.getGroup();
  return device;
}

Setting readSetting(schema::KeyValue::Reader reader, kj::StringPtr what) {
  return {checkedText(reader.getKey(), what, kMostSettingBytes),
          checkedText(reader.getValue(), what, kMostSettingBytes)};
}

// "net.ipv4.ip_forward" and "net/ipv4/conf/eth0.1/rp_filter" are the same kind of name; where the
// first separator is a slash, dots are part of names (sysctl.d(5)).
kj::String sysctlPath(kj::StringPtr key) {
  auto path = kj::str(key);
  auto slash = key.findFirst('/').orDefault(key.size());
  auto dot = key.findFirst('.').orDefault(key.size());
  for (char& c : path) {
    if (dot < slash && (c == '.' || c == '/')) c = c == '.' ? '/' : '.';
  }
  return path;
}

Setting readSysctl(schema::KeyValue::Reader reader) {
  auto setting = readSetting(reader, "sysctls");
  auto path = sysctlPath(setting.key);
  bool own = path.startsWith("net/") || path.startsWith("fs/mqueue/");
  for (auto known : kOwnSysctls) own = own || path == known;
  if (!own || hasParentStep(path)) {
    invalid(printable(setting.key, 128), "this is no setting of a container's own",
            "net.*, fs.mqueue.* and those of System V IPC are; others are the zone's kernel's");
  }
  setting.key = kj::mv(path);
  return setting;
}

// A setting of a namespace that is the zone's is one of the zone. Its network is nobody else's, and
// what containers set elsewhere they may set here; the rest of net is the kernel's.
void checkReach(kj::StringPtr path, const ContainerSettings& settings) {
  auto isZones = [&](NamespaceKind kind) {
    return settings.choice(kind).from == NamespaceChoice::From::zone;
  };
  bool network = path.startsWith("net/");
  bool reaches = network && isZones(NamespaceKind::network)
                     ? path.startsWith("net/ipv4/") || path.startsWith("net/ipv6/") ||
                           path.startsWith("net/unix/") || path == "net/core/somaxconn"
                     : network || !isZones(NamespaceKind::ipc);
  if (!reaches) {
    invalid(printable(path, 128), "this setting would be the zone's, not the container's",
            "give the container that namespace as its own");
  }
}

// Of "/" nothing would be left to see.
kj::String checkedPlace(capnp::Text::Reader text, kj::StringPtr what) {
  auto path = checkedPath(text, what);
  bool root = true;
  for (char c : path) root = root && (c == '/' || c == '.');
  if (root) invalid(what, "names the root itself", "readOnlyRoot makes that read-only");
  return path;
}

Setting readCgroupSetting(schema::KeyValue::Reader reader) {
  auto setting = readSetting(reader, "cgroup");
  bool good = false;
  for (auto controller :
       {"cpu."_kj, "cpuset."_kj, "memory."_kj, "io."_kj, "pids."_kj, "hugetlb."_kj}) {
    good = good || setting.key.startsWith(controller);
  }
  for (char c : setting.key) good = good && c != '/';
  if (!good) {
    invalid(printable(setting.key, 128), "this is no setting of a controller",
            "name a file as in the kernel's cgroup-v2 documentation, such as cpu.max");
  }
  return setting;
}

}  // namespace

ContainerSettings readContainerSettings(schema::ContainerSettings::Reader reader,
                                        NetworkMode networkMode) {
  ContainerSettings settings;
  settings.mounts = readAll<MountSpec>(reader.getMounts(), "mounts", kMostMounts, readMount);
  readNamespaces(reader.getNamespaces(), settings.namespaces);
  if (networkMode == NetworkMode::none) {
    settings.namespaces[static_cast<size_t>(NamespaceKind::network)].from =
        NamespaceChoice::From::own;
  }
  settings.userMappings =
      readAll<IdMapping>(reader.getUserMappings(), "userMappings", kMostMappings, readMapping);
  settings.groupMappings =
      readAll<IdMapping>(reader.getGroupMappings(), "groupMappings", kMostMappings, readMapping);
  bool ownUsers = settings.choice(NamespaceKind::user).from == NamespaceChoice::From::own;
  if (ownUsers != (settings.userMappings.size() > 0) ||
      ownUsers != (settings.groupMappings.size() > 0)) {
    invalid("userMappings", "belong to a user namespace of its own, and such a one needs both",
            "choose `own` for the kind `user` and give userMappings and groupMappings");
  }
  if (!isKnown(reader.getConfinement(), schema::ContainerSettings::Confinement::PRIVILEGED) ||
      !isKnown(reader.getPathDefaults(), schema::ContainerSettings::PathDefaults::DROPPED)) {
    invalid("confinement", "or pathDefaults is not one this agent knows");
  }
  if (reader.getConfinement() == schema::ContainerSettings::Confinement::PRIVILEGED) {
    settings.confinement = Confinement::privileged;
  }
  if (reader.getPathDefaults() == schema::ContainerSettings::PathDefaults::DROPPED) {
    settings.pathDefaults = PathDefaults::dropped;
  }
  auto path = [](kj::StringPtr what) {
    return [what](capnp::Text::Reader text) { return checkedPlace(text, what); };
  };
  settings.maskedPaths =
      readAll<kj::String>(reader.getMaskedPaths(), "maskedPaths", kMostPaths, path("maskedPaths"));
  settings.readOnlyPaths = readAll<kj::String>(reader.getReadOnlyPaths(), "readOnlyPaths",
                                               kMostPaths, path("readOnlyPaths"));
  auto calls = reader.getSystemCalls();
  switch (calls.which()) {
    case schema::ContainerSettings::SystemCalls::STANDARD:
      settings.systemCalls = StandardSystemCalls();
      break;
    case schema::ContainerSettings::SystemCalls::UNCONFINED:
      settings.systemCalls = EverySystemCall();
      break;
    case schema::ContainerSettings::SystemCalls::PROFILE:
      if (calls.getProfile().size() > kMostProfileBytes) {
        invalid("systemCalls", kj::str("the profile is larger than ", kMostProfileBytes, " bytes"));
      }
      settings.systemCalls =
          SystemCallProfile{kj::heapArray<kj::byte>(calls.getProfile().asBytes())};
      break;
    default:
      invalid("systemCalls", "is not one this agent knows");
  }
  settings.devices = readAll<DeviceSpec>(reader.getDevices(), "devices", kMostDevices, readDevice);
  settings.sysctls = readAll<Setting>(reader.getSysctls(), "sysctls", kMostSettings, readSysctl);
  for (auto& each : settings.sysctls) checkReach(each.key, settings);
  settings.cgroup =
      readAll<Setting>(reader.getCgroup(), "cgroup", kMostSettings, readCgroupSetting);
  settings.rootPropagation = readPropagation(reader.getRootPropagation());
  settings.sharedMemoryBytes = reader.getSharedMemoryBytes();
  settings.domainName = checkedText(reader.getDomainName(), "domainName", kMostDomainNameBytes);
  bool ownName = settings.choice(NamespaceKind::hostName).from == NamespaceChoice::From::own;
  if (settings.domainName.size() > 0 && !ownName) {
    invalid("domainName", "belongs to a host name namespace of the container's own");
  }
  return settings;
}

}  // namespace bulkhead::zone
