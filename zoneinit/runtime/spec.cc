// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/spec.h"

#include <signal.h>
#include <string.h>

#include "services/runtime/failure.h"

namespace bulkhead::zone {
namespace {

constexpr size_t kMostArguments = 4096;
constexpr size_t kMostArgumentBytes = 1 << 20;
constexpr size_t kMostPathBytes = 4095;
constexpr size_t kMostUserBytes = 256;
constexpr size_t kMostIdBytes = 63;
constexpr size_t kMostDiskBytes = 31;
constexpr uint64_t kLeastMemory = 1 << 20;
constexpr uint32_t kMostCapabilityNames = 128;

[[noreturn]] void invalid(kj::StringPtr what, kj::StringPtr message, kj::StringPtr hint = "") {
  fail(FailureCode::INVALID, what, message, hint);
}

// The kernel would see less of a text with a NUL byte than we checked.
kj::String checkedText(capnp::Text::Reader text, kj::StringPtr what, size_t most) {
  if (text.size() > most) invalid(what, kj::str("is longer than ", most, " bytes"));
  if (memchr(text.begin(), 0, text.size()) != nullptr) invalid(what, "holds a NUL byte");
  return kj::str(text);
}

kj::Array<kj::String> checkedList(capnp::List<capnp::Text>::Reader list, kj::StringPtr what) {
  if (list.size() > kMostArguments) {
    invalid(what, kj::str("has more than ", kMostArguments, " entries"));
  }
  size_t bytes = 0;
  auto result = kj::heapArrayBuilder<kj::String>(list.size());
  for (auto text : list) {
    bytes += text.size() + 1;
    if (bytes > kMostArgumentBytes) {
      invalid(what, kj::str("is larger than ", kMostArgumentBytes, " bytes"));
    }
    result.add(checkedText(text, what, kMostArgumentBytes));
  }
  return result.finish();
}

bool isLowerOrDigit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

void checkId(kj::StringPtr id) {
  bool good = id.size() > 0 && id.size() <= kMostIdBytes && id[0] != '-';
  for (char c : id) good = good && (isLowerOrDigit(c) || c == '-');
  if (!good) {
    invalid(printable(id, 64), "this is no workload id",
            "use up to 63 of a-z, 0-9 and '-', not starting with '-'");
  }
}

void checkDisk(kj::StringPtr disk) {
  bool good = disk.size() > 0 && disk.size() <= kMostDiskBytes;
  for (char c : disk) good = good && isLowerOrDigit(c);
  if (!good)
    invalid(printable(disk, 64), "this names no disk", "name one as the kernel does: xvda");
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

ProcessSpec readProcessSpec(schema::ProcessSpec::Reader reader) {
  ProcessSpec spec;
  spec.arguments = checkedList(reader.getArguments(), "arguments");
  if (spec.arguments.size() == 0 || spec.arguments[0].size() == 0) {
    fail(FailureCode::NO_ENTRYPOINT, "arguments", "there is no command to run",
         "the image has none: name one");
  }
  spec.environment = checkedList(reader.getEnvironment(), "environment");
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

  auto capabilities = reader.getCapabilities();
  if (capabilities.getAdd().size() + capabilities.getDrop().size() > kMostCapabilityNames) {
    invalid("capabilities", "too many are named");
  }
  spec.capabilities = capabilitySet(checkedList(capabilities.getAdd(), "capabilities.add"),
                                    checkedList(capabilities.getDrop(), "capabilities.drop"));
  return spec;
}

ContainerSpec readContainerSpec(schema::WorkloadSpec::Reader reader) {
  ContainerSpec spec;
  spec.id = checkedText(reader.getId(), "id", kMostIdBytes);
  checkId(spec.id);
  spec.rootDisk = checkedText(reader.getRootDisk(), "rootDisk", kMostDiskBytes);
  checkDisk(spec.rootDisk);
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
  switch (reader.getNetworkMode()) {
    case schema::WorkloadSpec::NetworkMode::ZONE:
      spec.networkMode = NetworkMode::zone;
      break;
    case schema::WorkloadSpec::NetworkMode::NONE:
      spec.networkMode = NetworkMode::none;
      break;
    default:
      invalid("networkMode", "is not one this agent knows");
  }
  spec.stopSignal = parseSignal(checkedText(reader.getStopSignal(), "stopSignal", 32));
  return spec;
}

}  // namespace bulkhead::zone
