// SPDX-License-Identifier: Apache-2.0
#include "hvd/domain-config.h"

#include "services/runtime/failure.h"

namespace bulkhead::hvd {
namespace {

constexpr uint32_t kFirstDevice = 51712;  // xvda, 202:0; 16 minors a disk
constexpr uint32_t kFirstReservedDomain = 0x7ff0;
constexpr uint32_t kMinMemoryMiB = 16;
constexpr uint32_t kMaxMemoryMiB = 1u << 20;
constexpr uint32_t kMaxVcpus = 64;
constexpr size_t kMaxDisks = 16;
constexpr size_t kMaxVifs = 8;
// vif<domid>.<index> must fit into an interface name of 15 characters.
constexpr uint32_t kMaxVifIndex = 65535;

void require(bool holds, kj::StringPtr field, kj::StringPtr rule) {
  if (!holds) fail(FailureCode::INVALID, field, rule);
}

bool isLowerOrDigit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool isLowerHex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

bool validName(kj::StringPtr name) {
  if (name.size() == 0 || name.size() > 63 || name[0] == '-') return false;
  for (char c : name) {
    if (!isLowerOrDigit(c) && c != '-') return false;
  }
  return true;
}

// Six lower-case pairs, a unicast address.
bool validMac(kj::StringPtr mac) {
  if (mac.size() != 17) return false;
  for (size_t i = 0; i < mac.size(); ++i) {
    if (i % 3 == 2 ? mac[i] != ':' : !isLowerHex(mac[i])) return false;
  }
  char low = mac[1];
  unsigned nibble =
      low <= '9' ? static_cast<unsigned>(low - '0') : static_cast<unsigned>(low - 'a') + 10;
  return nibble % 2 == 0;
}

}  // namespace

kj::Maybe<uint32_t> parseStrictly(kj::ArrayPtr<const char> text) {
  if (text.size() == 0 || text.size() > 10) return nullptr;
  if (text.size() > 1 && text[0] == '0') return nullptr;
  uint64_t value = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return nullptr;
    value = value * 10 + static_cast<uint64_t>(c - '0');
  }
  if (value > UINT32_MAX) return nullptr;
  return static_cast<uint32_t>(value);
}

DiskConfig checkDisk(schema::DiskSpec::Reader spec) {
  kj::StringPtr name = spec.getName();
  require(name.size() == 4 && name.startsWith("xvd") && name[3] >= 'a' && name[3] <= 'p',
          "disks.name", "not one of xvda to xvdp");
  auto access = spec.getAccess();
  require(access == Access::READ_ONLY || access == Access::READ_WRITE, "disks.access",
          "an unknown kind of access");
  require(spec.hasImage(), "disks.image", "missing");
  auto number = static_cast<uint32_t>(name[3] - 'a');
  return {kj::str(name), kFirstDevice + number * 16, access};
}

VifConfig checkVif(schema::VifSpec::Reader spec) {
  require(spec.getIndex() <= kMaxVifIndex, "interfaces.index", "larger than 65535");
  require(validMac(spec.getMac()), "interfaces.mac",
          "not a unicast MAC address in lower case with colons");
  require(spec.getBackendDomain() < kFirstReservedDomain, "interfaces.backendDomain",
          "not a domain id");
  require(spec.getMtu() == 0 || (spec.getMtu() >= 576 && spec.getMtu() <= 65521), "interfaces.mtu",
          "neither 0 nor 576 to 65521");
  return {spec.getIndex(), kj::str(spec.getMac()), spec.getBackendDomain(), spec.getMtu()};
}

DomainConfig checkSpec(schema::DomainSpec::Reader spec) {
  DomainConfig config;
  KJ_IF_MAYBE (uuid, Uuid::from(spec.getUuid())) {
    config.uuid = *uuid;
  } else {
    require(false, "uuid", "not 16 bytes");
  }
  auto id = config.uuid.data();
  require(id[6] >> 4 == 4 && id[8] >> 6 == 2, "uuid", "not a version 4 UUID");
  require(validName(spec.getName()), "name",
          "not 1 to 63 characters of a-z, 0-9 and -, or begins with -");
  config.name = kj::str(spec.getName());
  require(spec.hasKernel(), "kernel", "missing");

  kj::StringPtr commandLine = spec.getCommandLine();
  require(commandLine.size() <= 1023, "commandLine", "longer than 1023 bytes");
  for (char c : commandLine) {
    require(c >= ' ' && c <= '~', "commandLine", "holds something other than printable ASCII");
  }
  config.commandLine = kj::str(commandLine);

  config.memoryMiB = spec.getMemoryMiB();
  config.maxMemoryMiB = spec.getMaxMemoryMiB() == 0 ? config.memoryMiB : spec.getMaxMemoryMiB();
  require(config.memoryMiB >= kMinMemoryMiB && config.memoryMiB <= kMaxMemoryMiB, "memoryMiB",
          "not 16 to 1048576");
  require(config.maxMemoryMiB >= config.memoryMiB && config.maxMemoryMiB <= kMaxMemoryMiB,
          "maxMemoryMiB", "neither 0 nor memoryMiB to 1048576");
  config.vcpus = spec.getVcpus();
  config.maxVcpus = spec.getMaxVcpus() == 0 ? config.vcpus : spec.getMaxVcpus();
  require(config.vcpus >= 1 && config.vcpus <= kMaxVcpus, "vcpus", "not 1 to 64");
  require(config.maxVcpus >= config.vcpus && config.maxVcpus <= kMaxVcpus, "maxVcpus",
          "neither 0 nor vcpus to 64");
  config.virtualization = spec.getVirtualization();
  require(config.virtualization <= Virtualization::PVH, "virtualization", "an unknown kind");

  require(spec.getDisks().size() <= kMaxDisks, "disks", "more than 16");
  for (auto disk : spec.getDisks()) {
    auto checked = checkDisk(disk);
    for (auto& other : config.disks) {
      require(other.device != checked.device, "disks.name", "appears twice");
    }
    config.disks.add(kj::mv(checked));
  }
  require(spec.getInterfaces().size() <= kMaxVifs, "interfaces", "more than 8");
  for (auto vif : spec.getInterfaces()) {
    auto checked = checkVif(vif);
    for (auto& other : config.vifs) {
      require(other.index != checked.index, "interfaces.index", "appears twice");
      require(other.mac != checked.mac, "interfaces.mac", "appears twice");
    }
    config.vifs.add(kj::mv(checked));
  }
  if (spec.getPciDevices().size() > 0) {
    fail(FailureCode::UNSUPPORTED, "pciDevices", "PCI devices are not given to zones");
  }
  return config;
}

}  // namespace bulkhead::hvd
