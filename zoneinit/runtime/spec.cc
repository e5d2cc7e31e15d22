// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/spec.h"

#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "services/runtime/failure.h"
#include "zoneinit/runtime/checked-text.h"

namespace bulkhead::zone {
namespace {

constexpr size_t kMostArguments = 4096;
constexpr size_t kMostUserBytes = 256;
constexpr size_t kMostProfileNameBytes = 4095;
constexpr uint64_t kLeastMemory = 1 << 20;
constexpr uint32_t kMostCapabilityNames = 128;
constexpr uint kMostGroups = 64;
constexpr uint kMostLimits = 16;
constexpr int kMostOomScore = 1000;
constexpr mode_t kUsualUmask = 0022;

struct ResourceName {
  kj::StringPtr name;
  int resource;
};
constexpr ResourceName kResources[] = {
    {"as"_kj, RLIMIT_AS},
    {"core"_kj, RLIMIT_CORE},
    {"cpu"_kj, RLIMIT_CPU},
    {"data"_kj, RLIMIT_DATA},
    {"fsize"_kj, RLIMIT_FSIZE},
    {"locks"_kj, RLIMIT_LOCKS},
    {"memlock"_kj, RLIMIT_MEMLOCK},
    {"msgqueue"_kj, RLIMIT_MSGQUEUE},
    {"nice"_kj, RLIMIT_NICE},
    {"nofile"_kj, RLIMIT_NOFILE},
    {"nproc"_kj, RLIMIT_NPROC},
    {"rss"_kj, RLIMIT_RSS},
    {"rtprio"_kj, RLIMIT_RTPRIO},
    {"rttime"_kj, RLIMIT_RTTIME},
    {"sigpending"_kj, RLIMIT_SIGPENDING},
    {"stack"_kj, RLIMIT_STACK},
};

// Many open files, as servers want; no core dumps, which nobody would find.
constexpr ResourceLimit kUsualLimits[] = {
    {RLIMIT_NOFILE, 1 << 20, 1 << 20, ResourceLimit::Firmness::asFarAsItGoes},
    {RLIMIT_CORE, 0, 0, ResourceLimit::Firmness::exact}};

int resourceNamed(kj::StringPtr name) {
  kj::String lower = kj::str(name.startsWith("RLIMIT_") ? name.slice(7) : name);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  for (auto& known : kResources) {
    if (known.name == lower) return known.resource;
  }
  invalid(printable(name, 32), "there is no such resource limit", "names are as in getrlimit(2)");
}

kj::Array<ResourceLimit> readLimits(capnp::List<schema::ResourceLimit>::Reader list) {
  if (list.size() > kMostLimits) {
    invalid("limits", kj::str("has more than ", kMostLimits, " entries"));
  }
  uint32_t seen = 0;
  kj::Vector<ResourceLimit> limits;
  for (auto each : list) {
    int resource = resourceNamed(each.getName());
    if ((seen & 1u << resource) != 0) invalid(printable(each.getName(), 32), "is limited twice");
    seen |= 1u << resource;
    if (each.getSoft() > each.getHard()) {
      invalid(printable(each.getName(), 32), "the soft limit is above the hard one");
    }
    limits.add(
        ResourceLimit{resource, each.getSoft(), each.getHard(), ResourceLimit::Firmness::exact});
  }
  for (auto& each : kUsualLimits) {
    if ((seen & 1u << each.resource) == 0) limits.add(each);
  }
  return limits.releaseAsArray();
}

NetworkMode readNetworkMode(schema::WorkloadSpec::NetworkMode mode) {
  switch (mode) {
    case schema::WorkloadSpec::NetworkMode::ZONE:
      return NetworkMode::zone;
    case schema::WorkloadSpec::NetworkMode::NONE:
      return NetworkMode::none;
  }
  invalid("networkMode", "is not one this agent knows");
}

}  // namespace

void checkHostname(kj::StringPtr name) {
  bool good = name.size() > 0 && name.size() <= 64 && name[0] != '-' && name[0] != '.';
  for (char c : name) {
    good = good && (isLowerOrDigit(c) || (c >= 'A' && c <= 'Z') || c == '-' || c == '.');
  }
  if (!good) {
    invalid(printable(name, 64), "this is no host name",
            "use up to 64 letters, digits, '-' and '.'");
  }
}

int checkSignal(int number) {
  if (number < 1 || number > SIGRTMAX)
    invalid(kj::str("signal ", number), "there is no such signal");
  return number;
}

int parseSignal(kj::StringPtr text) {
  if (text.size() == 0) return SIGTERM;
  KJ_IF_MAYBE (number, text.tryParseAs<int>()) {
    return checkSignal(*number);
  }
  auto name = text.startsWith("SIG") ? text.slice(3) : text;
  for (int number = 1; number < NSIG; ++number) {
    const char* known = sigabbrev_np(number);
    if (known != nullptr && name == known) return number;
  }
  if (name == "RTMIN") return SIGRTMIN;
  if (name.startsWith("RTMIN+")) {  // systemd's stop signal is SIGRTMIN+3
    KJ_IF_MAYBE (offset, name.slice(6).tryParseAs<uint8_t>()) {
      return checkSignal(SIGRTMIN + *offset);
    }
  }
  invalid(printable(text, 32), "there is no such signal", "name one as in signal(7)");
}

Authority readAuthority(schema::ProcessSpec::Reader reader) {
  Authority authority;
  auto capabilities = reader.getCapabilities();
  auto add = capabilities.getAdd(), drop = capabilities.getDrop(),
       ambient = capabilities.getAmbient();
  if (add.size() + drop.size() + ambient.size() > kMostCapabilityNames) {
    invalid("capabilities", "too many are named");
  }
  auto names = [](capnp::List<capnp::Text>::Reader list) {
    return checkedList(list, "capabilities", kMostCapabilityNames);
  };
  authority.ambient = capabilityUnion(names(ambient));
  authority.capabilities = capabilitySet(names(add), names(drop)) | authority.ambient;
  switch (reader.getPrivileges()) {
    case schema::ProcessSpec::Privileges::NEVER_GAINED:
      authority.privileges = Privileges::neverGained;
      break;
    case schema::ProcessSpec::Privileges::GAINABLE:
      authority.privileges = Privileges::gainable;
      break;
    default:
      invalid("privileges", "is not one this agent knows");
  }
  authority.appArmorProfile =
      checkedText(reader.getAppArmorProfile(), "appArmorProfile", kMostProfileNameBytes);
  authority.additionalGroups =
      checkedList(reader.getAdditionalGroups(), "additionalGroups", kMostGroups);
  authority.limits = readLimits(reader.getLimits());
  authority.oomScoreAdjust = reader.getOomScoreAdjust();
  if (authority.oomScoreAdjust < -kMostOomScore || authority.oomScoreAdjust > kMostOomScore) {
    invalid("oomScoreAdjust", "is not from -1000 to 1000");
  }
  authority.umask = reader.getUmask().isBits() ? reader.getUmask().getBits() : kUsualUmask;
  if (authority.umask > 0777) invalid("umask", "is above 0777");
  return authority;
}

ProcessSpec readProcessSpec(schema::ProcessSpec::Reader reader) {
  ProcessSpec spec;
  spec.arguments = checkedList(reader.getArguments(), "arguments", kMostArguments);
  if (spec.arguments.size() == 0 || spec.arguments[0].size() == 0) {
    fail(FailureCode::NO_ENTRYPOINT, "arguments", "there is no command to run",
         "the image has none: name one");
  }
  spec.environment = checkedList(reader.getEnvironment(), "environment", kMostArguments);
  for (auto& entry : spec.environment) {
    auto equals = entry.findFirst('=').orDefault(0);
    if (equals == 0)
      invalid(printable(entry, 64), "this is no environment entry", "write KEY=value");
  }
  spec.workingDirectory =
      checkedText(reader.getWorkingDirectory(), "workingDirectory", kMostPathBytes);
  if (spec.workingDirectory.size() == 0) spec.workingDirectory = kj::str("/");
  if (spec.workingDirectory[0] != '/') {
    invalid(printable(spec.workingDirectory, 256), "the working directory is no absolute path");
  }
  spec.user = checkedText(reader.getUser(), "user", kMostUserBytes);
  auto size = reader.getTerminal();
  if (size.getRows() > 0) spec.terminal = TerminalSize{size.getRows(), size.getColumns()};

  spec.authority = readAuthority(reader);
  if (reader.getTimeoutMilliseconds() != 0) {
    spec.timeout = reader.getTimeoutMilliseconds() * kj::MILLISECONDS;
  }
  return spec;
}

ContainerSpec readContainerSpec(schema::WorkloadSpec::Reader reader) {
  ContainerSpec spec;
  spec.id = checkedId(reader.getId());
  if (reader.getRootDirectory().size() > 0) {
    spec.rootDirectory = checkedPath(reader.getRootDirectory(), "rootDirectory");
  } else {
    spec.rootDisk = checkedDisk(reader.getRootDisk(), "rootDisk");
  }
  spec.process = readProcessSpec(reader.getProcess());
  spec.hostname = checkedText(reader.getHostname(), "hostname", 64);
  if (spec.hostname.size() > 0) checkHostname(spec.hostname);
  spec.memoryLimitBytes = reader.getMemoryLimitBytes();
  if (spec.memoryLimitBytes != 0 && spec.memoryLimitBytes < kLeastMemory) {
    invalid("memoryLimitBytes", kj::str("is below ", kLeastMemory, " bytes"));
  }
  spec.pidsLimit = reader.getPidsLimit();
  spec.rootAccess = reader.getReadOnlyRoot() ? RootAccess::readOnly : RootAccess::writable;
  if (reader.getLogBytes() > kMostLogBytes) {
    invalid("logBytes", kj::str("is above ", kMostLogBytes, " bytes"));
  }
  spec.logBytes = reader.getLogBytes() == 0 ? kDefaultLogBytes : reader.getLogBytes();
  spec.stopSignal = parseSignal(checkedText(reader.getStopSignal(), "stopSignal", 32));
  spec.settings =
      readContainerSettings(reader.getSettings(), readNetworkMode(reader.getNetworkMode()));
  return spec;
}

}  // namespace bulkhead::zone
