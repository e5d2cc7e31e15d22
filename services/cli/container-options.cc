// SPDX-License-Identifier: Apache-2.0
#include "services/cli/container-options.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "services/cli/texts.h"
#include "services/cli/time-text.h"
#include "services/runtime/failure.h"
#include "services/runtime/files.h"

namespace bulkhead {
namespace {

using Words = std::vector<std::string>;

constexpr const char* kGroup = "Confinement";
constexpr size_t kMostProfileBytes = 256 << 10;
constexpr uint32_t kUsualOutside = 100000, kUsualCount = 65536;  // subuid(5)

[[noreturn]] void invalid(kj::StringPtr option, const std::string& text, kj::StringPtr hint) {
  fail(FailureCode::INVALID, option,
       kj::str("'", printable(kj::StringPtr(text.c_str()), 128), "' is not valid"), hint);
}

Words split(const std::string& text, char separator) {
  Words parts;
  size_t start = 0;
  for (;;) {
    auto end = text.find(separator, start);
    parts.push_back(text.substr(start, end - start));
    if (end == std::string::npos) return parts;
    start = end + 1;
  }
}

// Around the first separator; the second part is empty where there is none.
std::pair<std::string, std::string> halves(const std::string& text, char separator) {
  auto at = text.find(separator);
  if (at == std::string::npos) return {text, {}};
  return {text.substr(0, at), text.substr(at + 1)};
}

template <typename Number>
Number numberOf(kj::StringPtr option, const std::string& text, kj::StringPtr hint) {
  KJ_IF_MAYBE (number, kj::StringPtr(text.c_str()).tryParseAs<Number>()) {
    if (text[0] >= '0' && text[0] <= '9') return *number;
  }
  invalid(option, text, hint);
}

uint16_t modeOf(kj::StringPtr option, const std::string& text) {
  size_t used = 0;
  unsigned long mode = 0;
  try {
    mode = std::stoul(text, &used, 8);
  } catch (const std::exception&) {
    used = 0;
  }
  if (used == 0 || used != text.size() || mode > 07777) {
    invalid(option, text, "give an octal mode, such as 1777");
  }
  return static_cast<uint16_t>(mode);
}

// People write CAP_NET_RAW, net_raw and NET_RAW.
Words capabilityNames(const Words& given) {
  Words names;
  for (auto name : given) {
    for (char& c : name) c = static_cast<char>(toupper(static_cast<unsigned char>(c)));
    names.push_back(name.starts_with("CAP_") ? name.substr(4) : name);
  }
  return names;
}

void fillCapabilities(schema::Capabilities::Builder out, const ContainerOptions& options) {
  auto add = capabilityNames(options.addedCapabilities),
       drop = capabilityNames(options.droppedCapabilities),
       ambient = capabilityNames(options.ambientCapabilities);
  setTexts(out.initAdd(countOf(add)), add);
  setTexts(out.initDrop(countOf(drop)), drop);
  setTexts(out.initAmbient(countOf(ambient)), ambient);
}

uint64_t limitOf(const std::string& text) {
  if (text == "unlimited" || text == "-1") return UINT64_MAX;
  return numberOf<uint64_t>("--ulimit", text, "write NAME=SOFT[:HARD], such as nofile=1024:4096");
}

void fillLimits(capnp::List<schema::ResourceLimit>::Builder out, const Words& limits) {
  for (unsigned i = 0; i < out.size(); ++i) {
    auto [name, values] = halves(limits[i], '=');
    auto [soft, hard] = halves(values, ':');
    out[i].setName(name);
    out[i].setSoft(limitOf(soft));
    out[i].setHard(limitOf(hard.empty() ? soft : hard));
  }
}

void fillPairs(kj::StringPtr option, capnp::List<schema::KeyValue>::Builder out,
               const Words& pairs) {
  for (unsigned i = 0; i < out.size(); ++i) {
    if (pairs[i].find('=') == std::string::npos) invalid(option, pairs[i], "write KEY=VALUE");
    auto [key, value] = halves(pairs[i], '=');
    out[i].setKey(key);
    out[i].setValue(value);
  }
}

void fillMemoryMount(schema::Mount::Builder mount, const std::string& text) {
  constexpr kj::StringPtr kOption = "--tmpfs"_kj;
  auto [path, options] = halves(text, ':');
  mount.setDestination(path);
  auto memory = mount.initMemory();
  mount.setNoSetUserId(true);
  mount.setNoDevices(true);
  mount.setNoExecution(true);
  if (options.empty()) return;
  for (auto& each : split(options, ',')) {
    auto [key, value] = halves(each, '=');
    if (key == "size") {
      memory.setBytes(bytesOf(kOption, value));
    } else if (key == "mode") {
      memory.setMode(modeOf(kOption, value));
    } else if (key == "ro" || key == "rw") {
      mount.setWriting(key == "ro" ? schema::Mount::Writing::DENIED
                                   : schema::Mount::Writing::ALLOWED);
    } else if (key == "exec" || key == "noexec") {
      mount.setNoExecution(key == "noexec");
    } else if (key == "suid" || key == "nosuid") {
      mount.setNoSetUserId(key == "nosuid");
    } else if (key == "dev" || key == "nodev") {
      mount.setNoDevices(key == "nodev");
    } else {
      invalid(kOption, each, "there are size=, mode=, ro, exec, suid and dev");
    }
  }
}

// A node of this host tells which device is meant; the zone's is the one of the same numbers.
void fillDevice(schema::Device::Builder device, const std::string& text) {
  constexpr kj::StringPtr kOption = "--device"_kj;
  auto parts = split(text, ':');
  struct stat info{};
  if (stat(parts[0].c_str(), &info) != 0 || (!S_ISCHR(info.st_mode) && !S_ISBLK(info.st_mode))) {
    invalid(kOption, text, "name a device of this host, with PATH[:PATH-IN-CONTAINER][:rwm]");
  }
  constexpr kj::StringPtr kForm = "write PATH[:PATH-IN-CONTAINER][:rwm]"_kj;
  size_t next = 1;
  device.setPath(next < parts.size() && parts[next].starts_with("/") ? parts[next++] : parts[0]);
  if (next < parts.size()) {
    auto& access = parts[next++];
    if (access.empty() || access.find_first_not_of("rwm") != std::string::npos) {
      invalid(kOption, text, kForm);
    }
    device.setAccess(access);
  }
  if (next < parts.size()) invalid(kOption, text, kForm);
  device.setType(S_ISBLK(info.st_mode) ? schema::Device::Type::BLOCK
                                       : schema::Device::Type::CHARACTER);
  device.setMajor(major(info.st_rdev));
  device.setMinor(minor(info.st_rdev));
}

schema::NamespaceChoice::Kind kindOf(const std::string& option, const std::string& name) {
  struct Name {
    const char* name;
    schema::NamespaceChoice::Kind kind;
  };
  constexpr Name kNames[] = {{"pid", schema::NamespaceChoice::Kind::PROCESS},
                             {"net", schema::NamespaceChoice::Kind::NETWORK},
                             {"ipc", schema::NamespaceChoice::Kind::IPC},
                             {"uts", schema::NamespaceChoice::Kind::HOST_NAME},
                             {"cgroup", schema::NamespaceChoice::Kind::CGROUP},
                             {"user", schema::NamespaceChoice::Kind::USER},
                             {"time", schema::NamespaceChoice::Kind::TIME}};
  for (auto& each : kNames) {
    if (name == each.name) return each.kind;
  }
  invalid("--namespace", option, "kinds are pid, net, ipc, uts, cgroup, user and time");
}

void fillMappings(kj::StringPtr option, capnp::List<schema::IdMapping>::Builder out,
                  const Words& mappings) {
  constexpr kj::StringPtr kForm = "write INSIDE:OUTSIDE:COUNT, such as 0:100000:65536"_kj;
  for (unsigned i = 0; i < out.size(); ++i) {
    if (mappings.empty()) {
      out[i].setOutside(kUsualOutside);
      out[i].setCount(kUsualCount);
      continue;
    }
    auto parts = split(mappings[i], ':');
    if (parts.size() != 3) invalid(option, mappings[i], kForm);
    out[i].setInside(numberOf<uint32_t>(option, parts[0], kForm));
    out[i].setOutside(numberOf<uint32_t>(option, parts[1], kForm));
    out[i].setCount(numberOf<uint32_t>(option, parts[2], kForm));
  }
}

void fillNamespaces(schema::ContainerSettings::Builder out, const ContainerOptions& options) {
  auto list = out.initNamespaces(countOf(options.namespaces));
  bool ownUsers = false;
  for (unsigned i = 0; i < list.size(); ++i) {
    auto& text = options.namespaces[i];
    auto [kind, from] = halves(text, '=');
    list[i].setKind(kindOf(text, kind));
    if (from != "own" && from != "zone") {
      invalid("--namespace", text, "write KIND=own or KIND=zone");
    }
    if (from == "own") {
      list[i].setOwn();
    } else {
      list[i].setZone();
    }
    ownUsers = ownUsers || (kind == "user" && from == "own");
  }
  auto count = [&](const Words& mappings) {
    return mappings.empty() && ownUsers ? 1u : countOf(mappings);
  };
  fillMappings("--uidmap", out.initUserMappings(count(options.userMappings)), options.userMappings);
  fillMappings("--gidmap", out.initGroupMappings(count(options.groupMappings)),
               options.groupMappings);
}

void fillSystemCalls(schema::ContainerSettings::Builder out, const std::string& from) {
  if (from == "unconfined") {
    out.getSystemCalls().setUnconfined();
    return;
  }
  int raw = open(from.c_str(), O_RDONLY | O_CLOEXEC);
  if (raw < 0) {
    fail(FailureCode::NOT_FOUND, from.c_str(),
         kj::str("cannot open the system call profile: ", strerror(errno)),
         "write seccomp=unconfined, or the path of a profile in the form of the OCI runtime "
         "specification");
  }
  kj::FdInputStream file{kj::AutoCloseFd(raw)};
  auto profile = kj::heapArray<kj::byte>(kMostProfileBytes + 1);
  auto size = file.tryRead(profile.begin(), profile.size(), profile.size());
  if (size > kMostProfileBytes) {
    fail(FailureCode::INVALID, from.c_str(), "the system call profile is larger than 256 KiB");
  }
  out.getSystemCalls().setProfile(profile.slice(0, size));
}

void fillSecurity(schema::ZoneSpec::Builder spec, const Words& security) {
  auto container = spec.getContainer();
  Words masked;
  for (auto& text : security) {
    auto [key, value] = halves(text, '=');
    if (key == "seccomp" && !value.empty()) {
      fillSystemCalls(container, value);
    } else if (key == "apparmor" && !value.empty()) {
      spec.getProcess().setAppArmorProfile(value == "unconfined" ? "" : value.c_str());
    } else if (key == "no-new-privileges" &&
               (value.empty() || value == "true" || value == "false")) {
      spec.getProcess().setPrivileges(value == "false"
                                          ? schema::ProcessSpec::Privileges::GAINABLE
                                          : schema::ProcessSpec::Privileges::NEVER_GAINED);
    } else if (key == "mask" && !value.empty()) {
      for (auto& path : split(value, ':')) masked.push_back(path);
    } else if (text == "unmask=ALL") {
      container.setPathDefaults(schema::ContainerSettings::PathDefaults::DROPPED);
    } else {
      invalid("--security-opt", text,
              "there are seccomp=unconfined|FILE, apparmor=PROFILE, no-new-privileges[=false], "
              "mask=PATH[:PATH...] and unmask=ALL");
    }
  }
  setTexts(container.initMaskedPaths(countOf(masked)), masked);
}

}  // namespace

void addContainerOptions(CLI::App& app, ContainerOptions& options) {
  auto list = [&](const char* name, Words& into, const char* help) {
    app.add_option(name, into, help)->allow_extra_args(false)->group(kGroup);
  };
  auto one = [&](const char* name, auto& into, const char* help) {
    app.add_option(name, into, help)->group(kGroup);
  };
  list("--cap-add", options.addedCapabilities, "capability to add, such as NET_ADMIN, or ALL");
  list("--cap-drop", options.droppedCapabilities, "capability to take away, or ALL");
  list("--cap-ambient", options.ambientCapabilities, "capability that users but root have as well");
  list("--group-add", options.groups, "further group, name or number");
  list("--ulimit", options.limits, "NAME=SOFT[:HARD], such as nofile=1024:4096");
  list("--tmpfs", options.memoryMounts, "PATH[:size=64M,mode=1777,ro,exec]: memory mounted there");
  list("--sysctl", options.sysctls,
       "KEY=VALUE of the container's namespaces, such as net.ipv4.ip_forward=1");
  list("--cgroup", options.cgroup, "FILE=VALUE of cgroup v2, such as cpu.max='50000 100000'");
  list("--device", options.devices, "PATH[:PATH-IN-CONTAINER][:rwm], by a node of this host");
  list("--namespace", options.namespaces, "KIND=own or KIND=zone; pid, net, ipc, uts, user, ...");
  list("--uidmap", options.userMappings, "INSIDE:OUTSIDE:COUNT, with --namespace user=own");
  list("--gidmap", options.groupMappings, "the same for groups (default for both 0:100000:65536)");
  list("--security-opt", options.security,
       "seccomp=unconfined|FILE, apparmor=PROFILE, no-new-privileges=false, mask=PATH, unmask=ALL");
  one("--shm-size", options.sharedMemory, "size of /dev/shm (default 64M)");
  one("--domainname", options.domainName, "NIS domain name");
  one("--stop-signal", options.stopSignal, "signal that asks it to end (default: the image's)");
  one("--timeout", options.timeout, "kill it when it runs for longer, such as 90s or 1h30m");
  one("--oom-score-adj", options.oomScoreAdjust, "-1000 to 1000: who is killed for want of memory");
  one("--pids-limit", options.processes, "processes and threads it may have");
  app.add_flag("--privileged", options.privileged,
               "every capability and device, no filter: the zone alone confines it")
      ->group(kGroup);
}

void fillContainer(schema::ZoneSpec::Builder spec, const ContainerOptions& options) {
  auto process = spec.getProcess();
  fillCapabilities(process.initCapabilities(), options);
  setTexts(process.initAdditionalGroups(countOf(options.groups)), options.groups);
  fillLimits(process.initLimits(countOf(options.limits)), options.limits);
  if (options.oomScoreAdjust < -1000 || options.oomScoreAdjust > 1000) {
    invalid("--oom-score-adj", std::to_string(options.oomScoreAdjust), "give -1000 to 1000");
  }
  process.setOomScoreAdjust(static_cast<int16_t>(options.oomScoreAdjust));
  process.setTimeoutMilliseconds(timeoutMillisecondsOf(options.timeout.c_str()));
  spec.setStopSignal(options.stopSignal);

  auto container = spec.initContainer();
  auto mounts = container.initMounts(countOf(options.memoryMounts));
  for (unsigned i = 0; i < mounts.size(); ++i) fillMemoryMount(mounts[i], options.memoryMounts[i]);
  fillPairs("--sysctl", container.initSysctls(countOf(options.sysctls)), options.sysctls);
  auto cgroup = options.cgroup;
  if (options.processes != 0) cgroup.push_back("pids.max=" + std::to_string(options.processes));
  fillPairs("--cgroup", container.initCgroup(countOf(cgroup)), cgroup);
  auto devices = container.initDevices(countOf(options.devices));
  for (unsigned i = 0; i < devices.size(); ++i) fillDevice(devices[i], options.devices[i]);
  fillNamespaces(container, options);
  if (options.privileged) {
    container.setConfinement(schema::ContainerSettings::Confinement::PRIVILEGED);
  }
  if (!options.sharedMemory.empty()) {
    container.setSharedMemoryBytes(bytesOf("--shm-size", options.sharedMemory.c_str()));
  }
  container.setDomainName(options.domainName);
  fillSecurity(spec, options.security);
}

uint64_t bytesOf(kj::StringPtr option, kj::StringPtr text) {
  std::string given = text.cStr();
  auto digits = given.find_first_not_of("0123456789");
  auto unit = digits == std::string::npos ? "" : given.substr(digits);
  uint64_t shift = 64;
  if (unit.empty() || unit == "B") shift = 0;
  if (unit == "k" || unit == "K" || unit == "KiB") shift = 10;
  if (unit == "m" || unit == "M" || unit == "MiB") shift = 20;
  if (unit == "g" || unit == "G" || unit == "GiB") shift = 30;
  constexpr kj::StringPtr kHint = "give bytes, or a number with k, M or G, such as 512M"_kj;
  if (shift == 64) invalid(option, given, kHint);
  auto number = numberOf<uint64_t>(option, given.substr(0, digits), kHint);
  if (number > UINT64_MAX >> shift) invalid(option, given, kHint);
  return number << shift;
}

uint32_t timeoutMillisecondsOf(kj::StringPtr text) {
  if (text.size() == 0) return 0;
  auto milliseconds = durationOf(text, "--timeout") / kj::MILLISECONDS;
  if (milliseconds < 1 || milliseconds > UINT32_MAX) {
    invalid("--timeout", text.cStr(), "give at least a millisecond and at most 49 days");
  }
  return static_cast<uint32_t>(milliseconds);
}

}  // namespace bulkhead
