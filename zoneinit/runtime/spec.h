// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/array.h>
#include <kj/string.h>

#include "schemas/agent.capnp.h"
#include "zoneinit/runtime/capabilities.h"

namespace bulkhead::zone {

// What is asked of the runtime, checked: every text is bounded and free of NUL bytes.

struct TerminalSize {
  uint16_t rows;
  uint16_t columns;
};

struct ProcessSpec {
  kj::Array<kj::String> arguments;    // at least one
  kj::Array<kj::String> environment;  // KEY=value
  kj::String workingDirectory;        // absolute
  kj::String user;
  kj::Maybe<TerminalSize> terminal;
  CapabilityMask capabilities = 0;
};

enum class RootAccess { writable, readOnly };
enum class NetworkMode { zone, none };

struct ContainerSpec {
  kj::String id;
  kj::String rootDisk;  // a name in /dev
  ProcessSpec process;
  kj::String hostname;  // empty: the zone's
  uint64_t memoryLimitBytes = 0;
  uint32_t pidsLimit = 0;
  RootAccess rootAccess = RootAccess::writable;
  size_t logBytes = 0;
  NetworkMode networkMode = NetworkMode::zone;
  int stopSignal = 0;
};

constexpr size_t kDefaultLogBytes = 1 << 20;
constexpr size_t kMostLogBytes = 64 << 20;

// Both fail with `invalid`, naming the field, or `noEntrypoint`.
ProcessSpec readProcessSpec(schema::ProcessSpec::Reader reader);
ContainerSpec readContainerSpec(schema::WorkloadSpec::Reader reader);

// Number of a signal given as "SIGTERM", "TERM" or "15"; empty is SIGTERM. Fails with `invalid`.
int parseSignal(kj::StringPtr text);

// Fails with `invalid` for a number that is no signal.
int checkSignal(int number);

// Fails with `invalid` for a name that is no host name: letters, digits, '-' and '.', 64 at most.
void checkHostname(kj::StringPtr name);

}  // namespace bulkhead::zone
