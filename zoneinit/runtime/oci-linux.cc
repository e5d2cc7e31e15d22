// SPDX-License-Identifier: Apache-2.0
//
// OCI Runtime Specification, config-linux.md.
#include "zoneinit/runtime/oci-config.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include <kj/vector.h>

namespace bulkhead::zone {
namespace {

constexpr size_t kMostFew = 256;
constexpr uint64_t kMostId = UINT32_MAX;
constexpr int64_t kMostBytes = int64_t{1} << 50;

using Truth = CheckedJson::Truth;

struct KindName {
  kj::StringPtr name;
  schema::NamespaceChoice::Kind kind;
};
constexpr KindName kKinds[] = {{"pid"_kj, schema::NamespaceChoice::Kind::PROCESS},
                               {"network"_kj, schema::NamespaceChoice::Kind::NETWORK},
                               {"ipc"_kj, schema::NamespaceChoice::Kind::IPC},
                               {"uts"_kj, schema::NamespaceChoice::Kind::HOST_NAME},
                               {"cgroup"_kj, schema::NamespaceChoice::Kind::CGROUP},
                               {"user"_kj, schema::NamespaceChoice::Kind::USER},
                               {"time"_kj, schema::NamespaceChoice::Kind::TIME}};

// Namespaces that are not listed are the runtime's own, "Namespaces".
void readNamespaces(const CheckedJson& section, schema::ContainerSettings::Builder settings) {
  std::array<bool, std::size(kKinds)> own{};
  bool mounts = false;
  KJ_IF_MAYBE (given, section.find("namespaces")) {
    for (auto& each : given->elements(kMostFew)) {
      auto type = each.need("type");
      KJ_IF_MAYBE (path, each.find("path")) {
        path->refuseUnsupported("names a namespace by a path",
                                "share that of another workload of the zone instead");
      }
      bool known = type.text() == "mount";
      mounts = mounts || known;
      size_t i = 0;
      for (auto& kind : kKinds) {
        bool same = type.text() == kind.name;
        if (same && own[i]) type.refuseWord("is listed twice");
        own[i] = own[i] || same;
        known = known || same;
        ++i;
      }
      if (!known) type.refuseWord("is no kind of namespace");
    }
  }
  if (!mounts) {
    section.refuseUnsupported("has no mount namespace of its own", "list the type \"mount\"");
  }
  auto list = settings.initNamespaces(std::size(kKinds));
  uint i = 0;
  for (auto& kind : kKinds) {
    list[i].setKind(kind.kind);
    if (own[i]) {
      list[i].setOwn();
    } else {
      list[i].setZone();
    }
    ++i;
  }
}

void readMappings(const CheckedJson& section, kj::StringPtr name,
                  kj::FunctionParam<capnp::List<schema::IdMapping>::Builder(uint)> init) {
  KJ_IF_MAYBE (given, section.find(name)) {
    auto mappings = given->elements(kMostFew);
    auto list = init(static_cast<uint>(mappings.size()));
    for (uint i = 0; i < list.size(); ++i) {
      list[i].setInside(static_cast<uint32_t>(mappings[i].need("containerID").number(kMostId)));
      list[i].setOutside(static_cast<uint32_t>(mappings[i].need("hostID").number(kMostId)));
      list[i].setCount(static_cast<uint32_t>(mappings[i].need("size").number(kMostId)));
    }
  }
}

// One rule of "Allowed Device list". What is left out stands for all there are.
struct DeviceRule {
  Truth allow = Truth::no;
  kj::StringPtr type = "a";
  kj::Maybe<uint64_t> major;
  kj::Maybe<uint64_t> minor;
  kj::StringPtr access = "rwm";

  bool covers(schema::Device::Reader device) const {
    auto own = device.getType() == schema::Device::Type::BLOCK ? "b"_kj : "c"_kj;
    return (type == "a" || type == own) &&
           major.orDefault(device.getMajor()) == device.getMajor() &&
           minor.orDefault(device.getMinor()) == device.getMinor();
  }
};

// What every container may open, and what the listed devices are opened by, are allowed anyway. A
// rule that allows more would need a filter that knows no node.
void refuseFurther(const DeviceRule& rule, const CheckedJson& place,
                   capnp::List<schema::Device>::Reader devices) {
  bool opens = rule.access.findFirst('r') != nullptr || rule.access.findFirst('w') != nullptr;
  if (rule.allow == Truth::no || !opens) return;
  auto major = rule.major.orDefault(0);
  bool known = rule.type != "b" && (major == 1 || major == 5 || major == 136) &&
               (rule.minor != nullptr || major == 136);
  for (auto device : devices) known = known || rule.covers(device);
  if (!known) {
    place.refuseUnsupported("allows devices that linux.devices does not list", "list them there");
  }
}

kj::Vector<DeviceRule> readRules(kj::ArrayPtr<const CheckedJson> given) {
  kj::Vector<DeviceRule> rules;
  for (auto& each : given) {
    DeviceRule rule;
    rule.allow = each.need("allow").truth();
    KJ_IF_MAYBE (type, each.find("type")) {
      rule.type = type->text();
    }
    KJ_IF_MAYBE (access, each.find("access")) {
      rule.access = access->text();
    }
    KJ_IF_MAYBE (major, each.find("major")) {
      if (major->integer(4095) >= 0) rule.major = major->number(4095);
    }
    KJ_IF_MAYBE (minor, each.find("minor")) {
      if (minor->integer(1 << 20) >= 0) rule.minor = minor->number(1 << 20);
    }
    rules.add(kj::mv(rule));
  }
  return rules;
}

// The last rule that covers a device decides over each kind of access.
kj::String accessOf(schema::Device::Reader device, kj::ArrayPtr<const DeviceRule> rules) {
  kj::Vector<char> access;
  for (char letter : {'r', 'w', 'm'}) {
    bool allowed = true;
    for (auto& rule : rules) {
      bool named = rule.access.findFirst(letter) != nullptr;
      if (named && rule.covers(device)) allowed = rule.allow == Truth::yes;
    }
    if (allowed) access.add(letter);
  }
  return kj::heapString(access.begin(), access.size());
}

void readDevice(const CheckedJson& from, schema::Device::Builder device) {
  device.setPath(from.need("path").text());
  auto type = from.need("type");
  if (type.text() == "b") {
    device.setType(schema::Device::Type::BLOCK);
  } else if (type.text() == "c" || type.text() == "u") {
    device.setType(schema::Device::Type::CHARACTER);
  } else {
    type.refuseUnsupported("is neither a block nor a character device");
  }
  device.setMajor(static_cast<uint32_t>(from.need("major").number(4095)));
  device.setMinor(static_cast<uint32_t>(from.need("minor").number(1 << 20)));
  KJ_IF_MAYBE (mode, from.find("fileMode")) {
    device.setMode(static_cast<uint16_t>(mode->number(0777)));
  }
  KJ_IF_MAYBE (user, from.find("uid")) {
    device.setUser(static_cast<uint32_t>(user->number(kMostId)));
  }
  KJ_IF_MAYBE (group, from.find("gid")) {
    device.setGroup(static_cast<uint32_t>(group->number(kMostId)));
  }
}

void readDevices(const CheckedJson& section, schema::ContainerSettings::Builder settings) {
  kj::Array<CheckedJson> devices, given;
  KJ_IF_MAYBE (value, section.find("devices")) {
    devices = value->elements(64);
  }
  KJ_IF_MAYBE (resources, section.find("resources")) {
    KJ_IF_MAYBE (value, resources->find("devices")) {
      given = value->elements(kMostFew);
    }
  }
  auto rules = readRules(given);
  auto list = settings.initDevices(static_cast<uint>(devices.size()));
  for (uint i = 0; i < list.size(); ++i) readDevice(devices[i], list[i]);
  for (size_t i = 0; i < rules.size(); ++i) refuseFurther(rules[i], given[i], list.asReader());
  for (uint i = 0; i < list.size(); ++i) {
    auto access = accessOf(list[i], rules);
    // Nothing allowed: a node that opens nothing, as any other the container makes.
    list[i].setAccess(access.size() == 0 ? kj::StringPtr("m") : access.asPtr());
  }
}

class Settings {
 public:
  void set(kj::StringPtr key, kj::String value) { pairs.add(Pair{kj::str(key), kj::mv(value)}); }

  void addAll(const CheckedJson& object) {
    for (auto& each : object.members(kMostFew)) set(each.name, kj::str(each.value.text()));
  }

  void write(capnp::List<schema::KeyValue>::Builder list) const {
    for (uint i = 0; i < list.size(); ++i) {
      list[i].setKey(pairs[i].key);
      list[i].setValue(pairs[i].value);
    }
  }

  uint size() const { return static_cast<uint>(pairs.size()); }

 private:
  struct Pair {
    kj::String key;
    kj::String value;
  };
  kj::Vector<Pair> pairs;
};

// Where a number is given, and it is not the -1 that stands for no limit.
kj::Maybe<int64_t> limitOf(const CheckedJson& object, kj::StringPtr name) {
  KJ_IF_MAYBE (value, object.find(name)) {
    auto number = value->integer(kMostBytes);
    if (number >= 0) return number;
  }
  return nullptr;
}

// The specification's numbers are those of cgroup v1; the controllers of v2 have others.
void readProcessors(const CheckedJson& cpu, Settings& cgroup) {
  expectMembers(cpu, {"shares", "quota", "period", "cpus", "mems"});
  KJ_IF_MAYBE (shares, cpu.find("shares")) {
    // 2 to 262144 onto 1 to 10000.
    auto number = std::max<uint64_t>(shares->number(262'144), 2);
    cgroup.set("cpu.weight", kj::str(1 + (number - 2) * 9'999 / 262'142));
  }
  auto quota = limitOf(cpu, "quota"), period = limitOf(cpu, "period");
  if (quota != nullptr || period != nullptr) {
    auto most = quota.map([](int64_t n) { return kj::str(n); });
    cgroup.set("cpu.max", kj::str(most.orDefault(kj::str("max")), ' ', period.orDefault(100'000)));
  }
  for (auto [from, to] : {std::pair{"cpus"_kj, "cpuset.cpus"_kj}, {"mems"_kj, "cpuset.mems"_kj}}) {
    KJ_IF_MAYBE (value, cpu.find(from)) {
      cgroup.set(to, kj::str(value->text()));
    }
  }
}

void readMemory(const CheckedJson& memory, schema::WorkloadSpec::Builder spec, Settings& cgroup) {
  expectMembers(memory, {"limit", "reservation", "swap", "checkBeforeUpdate"});
  auto limit = limitOf(memory, "limit");
  KJ_IF_MAYBE (bytes, limit) {
    spec.setMemoryLimitBytes(static_cast<uint64_t>(*bytes));
  }
  KJ_IF_MAYBE (bytes, limitOf(memory, "reservation")) {
    cgroup.set("memory.low", kj::str(*bytes));
  }
  KJ_IF_MAYBE (both, limitOf(memory, "swap")) {
    // Of v1: memory and swap together.
    auto alone = *both - limit.orDefault(0);
    if (alone < 0) memory.need("swap").refuse("is below the limit of memory");
    cgroup.set("memory.swap.max", kj::str(alone));
  }
}

void readResources(const CheckedJson& resources, schema::WorkloadSpec::Builder spec,
                   Settings& cgroup) {
  expectMembers(resources,
                {"cpu", "memory", "pids", "blockIO", "hugepageLimits", "unified", "devices"});
  KJ_IF_MAYBE (cpu, resources.find("cpu")) {
    readProcessors(*cpu, cgroup);
  }
  KJ_IF_MAYBE (memory, resources.find("memory")) {
    readMemory(*memory, spec, cgroup);
  }
  KJ_IF_MAYBE (pids, resources.find("pids")) {
    KJ_IF_MAYBE (limit, limitOf(*pids, "limit")) {
      spec.setPidsLimit(static_cast<uint32_t>(std::min<int64_t>(*limit, UINT32_MAX)));
    }
  }
  KJ_IF_MAYBE (io, resources.find("blockIO")) {
    expectMembers(*io, {"weight"});
    KJ_IF_MAYBE (weight, limitOf(*io, "weight")) {
      // 10 to 1000 onto 1 to 10000.
      cgroup.set("io.weight", kj::str(1 + (std::max<int64_t>(*weight, 10) - 10) * 9'999 / 990));
    }
  }
  KJ_IF_MAYBE (pages, resources.find("hugepageLimits")) {
    for (auto& each : pages->elements(kMostFew)) {
      cgroup.set(kj::str("hugetlb.", each.need("pageSize").text(), ".max"),
                 kj::str(each.need("limit").number(UINT64_MAX)));
    }
  }
  KJ_IF_MAYBE (unified, resources.find("unified")) {
    cgroup.addAll(*unified);
  }
}

void readPropagation(const CheckedJson& value, schema::ContainerSettings::Builder settings) {
  KJ_IF_MAYBE (propagation, ociPropagation(value.text())) {
    settings.setRootPropagation(*propagation);
    return;
  }
  value.refuseWord("is no kind of propagation");
}

}  // namespace

kj::Maybe<schema::Propagation> ociPropagation(kj::StringPtr word) {
  auto name = word.startsWith("r") ? word.slice(1) : word;
  if (name == "private") return schema::Propagation::PRIVATE;
  if (name == "slave") return schema::Propagation::SLAVE;
  if (name == "shared") return schema::Propagation::SHARED;
  if (name == "unbindable") return schema::Propagation::UNBINDABLE;
  return nullptr;
}

void expectMembers(const CheckedJson& object, std::initializer_list<kj::StringPtr> known) {
  for (auto& member : object.members(kMostFew)) {
    bool found = false;
    for (auto name : known) found = found || member.name == name;
    if (!found) member.value.refuseUnsupported("is not to be had in a zone");
  }
}

void readOciLinux(const CheckedJson& section, schema::WorkloadSpec::Builder spec) {
  for (auto name : {"intelRdt"_kj, "mountLabel"_kj, "personality"_kj, "timeOffsets"_kj,
                    "netDevices"_kj, "memoryPolicy"_kj}) {
    KJ_IF_MAYBE (value, section.find(name)) {
      value->refuseUnsupported("is not to be had in a zone");
    }
  }
  auto settings = spec.getSettings();
  readNamespaces(section, settings);
  readMappings(section, "uidMappings", [&](uint n) { return settings.initUserMappings(n); });
  readMappings(section, "gidMappings", [&](uint n) { return settings.initGroupMappings(n); });
  readDevices(section, settings);
  // The bundle says itself what is to be hidden.
  settings.setPathDefaults(schema::ContainerSettings::PathDefaults::DROPPED);
  KJ_IF_MAYBE (paths, section.find("maskedPaths")) {
    readOciTexts(*paths, kMostFew, [&](uint n) { return settings.initMaskedPaths(n); });
  }
  KJ_IF_MAYBE (paths, section.find("readonlyPaths")) {
    readOciTexts(*paths, kMostFew, [&](uint n) { return settings.initReadOnlyPaths(n); });
  }
  KJ_IF_MAYBE (profile, section.find("seccomp")) {
    settings.getSystemCalls().setProfile(profile->encoded().asBytes());
  } else {
    settings.getSystemCalls().setUnconfined();
  }
  Settings sysctls, cgroup;
  KJ_IF_MAYBE (given, section.find("sysctl")) {
    sysctls.addAll(*given);
  }
  KJ_IF_MAYBE (resources, section.find("resources")) {
    readResources(*resources, spec, cgroup);
  }
  sysctls.write(settings.initSysctls(sysctls.size()));
  cgroup.write(settings.initCgroup(cgroup.size()));
  KJ_IF_MAYBE (propagation, section.find("rootfsPropagation")) {
    readPropagation(*propagation, settings);
  }
}

}  // namespace bulkhead::zone
