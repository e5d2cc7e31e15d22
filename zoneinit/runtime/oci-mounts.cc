// SPDX-License-Identifier: Apache-2.0
//
// OCI Runtime Specification, config.md, "Mounts", with the options of "Linux mount options".
#include "zoneinit/runtime/oci-config.h"

#include <stdlib.h>

#include <capnp/message.h>
#include <kj/vector.h>

namespace bulkhead::zone {
namespace {

constexpr size_t kMostMounts = 64;
constexpr size_t kMostOptions = 64;

struct Bind {
  bool wanted = false;
  bool below = false;
};

// Options that change nothing here: access times, what a file system of a zone has anyway, and how
// a devpts instance of its own is made.
constexpr kj::StringPtr kWithoutEffect[] = {
    "async"_kj,         "atime"_kj,       "noatime"_kj,     "relatime"_kj,
    "norelatime"_kj,    "strictatime"_kj, "diratime"_kj,    "nodiratime"_kj,
    "nostrictatime"_kj, "defaults"_kj,    "rw"_kj,          "suid"_kj,
    "dev"_kj,           "exec"_kj,        "newinstance"_kj, "ptmxmode=0666"_kj,
    "mode=0620"_kj,     "gid=5"_kj,       "nsdelegate"_kj,  "memory_recursiveprot"_kj};

// What every container has in these places already.
struct Standard {
  kj::StringPtr destination;
  kj::StringPtr type;
};
constexpr Standard kStandard[] = {{"/proc"_kj, "proc"_kj},
                                  {"/dev"_kj, "tmpfs"_kj},
                                  {"/dev/pts"_kj, "devpts"_kj},
                                  {"/dev/mqueue"_kj, "mqueue"_kj},
                                  {"/sys"_kj, "sysfs"_kj},
                                  {"/sys/fs/cgroup"_kj, "cgroup"_kj},
                                  {"/sys/fs/cgroup"_kj, "cgroup2"_kj}};

uint64_t sizeOf(const CheckedJson& option, kj::StringPtr text) {
  char* end = nullptr;
  auto number = strtoull(text.cStr(), &end, 10);
  kj::StringPtr unit = end;
  uint64_t shift = unit == ""                   ? 0
                   : unit == "k" || unit == "K" ? 10
                   : unit == "m" || unit == "M" ? 20
                   : unit == "g" || unit == "G" ? 30
                                                : 64;
  if (end == text.cStr() || shift == 64 || number > UINT64_MAX >> shift) {
    option.refuseWord("is no size");
  }
  return uint64_t{number} << shift;
}

uint16_t modeOf(const CheckedJson& option, kj::StringPtr text) {
  char* end = nullptr;
  auto mode = strtoul(text.cStr(), &end, 8);
  if (end == text.cStr() || *end != '\0' || mode > 07777) option.refuseWord("is no mode");
  return static_cast<uint16_t>(mode);
}

// One option that every kind of mount has. False for one that it does not know.
bool readOption(kj::StringPtr option, schema::Mount::Builder mount) {
  KJ_IF_MAYBE (propagation, ociPropagation(option)) {
    mount.setPropagation(*propagation);
    return true;
  }
  if (option == "ro") mount.setWriting(schema::Mount::Writing::DENIED);
  if (option == "rro") mount.setWriting(schema::Mount::Writing::DENIED_BELOW);
  if (option == "noexec") mount.setNoExecution(true);
  if (option == "nosuid") mount.setNoSetUserId(true);
  if (option == "nodev") mount.setNoDevices(true);
  for (auto known : {"ro"_kj, "rro"_kj, "noexec"_kj, "nosuid"_kj, "nodev"_kj}) {
    if (option == known) return true;
  }
  for (auto known : kWithoutEffect) {
    if (option == known) return true;
  }
  return false;
}

bool readMemoryOption(const CheckedJson& place, kj::StringPtr option,
                      schema::Mount::Memory::Builder memory) {
  if (option.startsWith("size=")) {
    memory.setBytes(sizeOf(place, option.slice(5)));
  } else if (option.startsWith("mode=")) {
    memory.setMode(modeOf(place, option.slice(5)));
  } else {
    return false;
  }
  return true;
}

kj::StringPtr typeOf(const CheckedJson& mount) {
  KJ_IF_MAYBE (type, mount.find("type")) {
    return type->text();
  }
  return "none";
}

kj::Array<CheckedJson> optionsOf(const CheckedJson& mount) {
  KJ_IF_MAYBE (options, mount.find("options")) {
    return options->elements(kMostOptions);
  }
  return nullptr;
}

bool isStandard(const CheckedJson& mount, kj::ArrayPtr<const CheckedJson> options) {
  auto destination = mount.need("destination").text(), type = typeOf(mount);
  // Ours is read-only unless the container is privileged.
  bool system = destination.startsWith("/sys"), readOnly = false;
  for (auto& option : options) readOnly = readOnly || option.text() == "ro";
  if (system && !readOnly) return false;
  for (auto& each : kStandard) {
    if (destination == each.destination && type == each.type) return true;
  }
  return false;
}

// /dev/shm is there anyway, in a size.
bool isSharedMemory(const CheckedJson& mount) {
  return mount.need("destination").text() == "/dev/shm" && typeOf(mount) == "tmpfs";
}

// Options of what is there anyway: none may ask for something else.
void checkStandardOptions(kj::ArrayPtr<const CheckedJson> options,
                          schema::ContainerSettings::Builder settings) {
  capnp::MallocMessageBuilder message;
  auto scratch = message.initRoot<schema::Mount>();
  for (auto& option : options) {
    auto text = option.text();
    bool memory = readMemoryOption(option, text, scratch.getMemory());
    if (!memory && !readOption(text, scratch)) {
      option.refuseUnsupported("is a mount option this runtime does not know");
    }
  }
  if (scratch.getMemory().getBytes() != 0) {
    settings.setSharedMemoryBytes(scratch.getMemory().getBytes());
  }
}

Bind bindOf(kj::StringPtr type, kj::ArrayPtr<const CheckedJson> options) {
  Bind bind;
  bind.wanted = type == "bind" || type == "rbind";
  bind.below = type == "rbind";
  for (auto& option : options) {
    auto text = option.text();
    bind.wanted = bind.wanted || text == "bind" || text == "rbind";
    bind.below = bind.below || text == "rbind";
  }
  return bind;
}

void readMount(const CheckedJson& from, kj::StringPtr bundle, schema::Mount::Builder mount) {
  mount.setDestination(from.need("destination").text());
  for (auto name : {"uidMappings"_kj, "gidMappings"_kj}) {
    KJ_IF_MAYBE (mappings, from.find(name)) {
      mappings->refuseUnsupported("maps the owners of one mount", "map the container's users");
    }
  }
  auto type = typeOf(from);
  auto options = optionsOf(from);
  auto bind = bindOf(type, options);
  if (bind.wanted) {
    mount.setZonePath(bundlePath(bundle, from.need("source").text()));
    mount.setDepth(bind.below ? schema::Mount::Depth::WITH_MOUNTS_BELOW
                              : schema::Mount::Depth::ALONE);
  } else if (type == "tmpfs") {
    mount.initMemory();
  } else if (type == "cgroup") {
    mount.setKernel("cgroup2");
  } else if (type == "proc" || type == "sysfs" || type == "cgroup2" || type == "mqueue" ||
             type == "devpts") {
    mount.setKernel(type);
  } else {
    from.need("type").refuseUnsupported("is a file system this runtime does not mount");
  }
  for (auto& option : options) {
    auto text = option.text();
    if (readOption(text, mount) || (bind.wanted && (text == "bind" || text == "rbind"))) continue;
    if (mount.isMemory() && readMemoryOption(option, text, mount.getMemory())) continue;
    option.refuseUnsupported("is a mount option this runtime does not know");
  }
}

}  // namespace

void readOciMounts(const CheckedJson& mounts, kj::StringPtr bundle,
                   schema::ContainerSettings::Builder settings) {
  kj::Vector<const CheckedJson*> listed;
  auto given = mounts.elements(kMostMounts);
  for (auto& mount : given) {
    auto options = optionsOf(mount);
    bool shared = isSharedMemory(mount);
    if (!shared && !isStandard(mount, options)) {
      listed.add(&mount);
      continue;
    }
    auto before = settings.getSharedMemoryBytes();
    checkStandardOptions(options, settings);
    if (!shared) settings.setSharedMemoryBytes(before);
  }
  auto list = settings.initMounts(static_cast<uint>(listed.size()));
  for (uint i = 0; i < list.size(); ++i) readMount(*listed[i], bundle, list[i]);
}

}  // namespace bulkhead::zone
