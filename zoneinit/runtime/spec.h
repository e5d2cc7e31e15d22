// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/array.h>
#include <kj/string.h>
#include <kj/time.h>

#include "schemas/agent.capnp.h"
#include "zoneinit/runtime/capabilities.h"
#include "zoneinit/runtime/settings.h"

namespace bulkhead::zone {

// What is asked of the runtime, checked: every text is bounded and free of NUL bytes.

struct TerminalSize {
  uint16_t rows;
  uint16_t columns;
};

enum class Privileges { neverGained, gainable };

// getrlimit(2)
struct ResourceLimit {
  enum class Firmness : uint8_t { exact, asFarAsItGoes };
  int resource;
  uint64_t soft;
  uint64_t hard;
  Firmness firmness;
};

// What a process may do and use.
struct Authority {
  CapabilityMask capabilities = 0;
  CapabilityMask ambient = 0;  // of those
  kj::Array<kj::String> additionalGroups;
  Privileges privileges = Privileges::neverGained;
  kj::Array<ResourceLimit> limits;
  int oomScoreAdjust = 0;
  kj::String appArmorProfile;  // empty: none
};

struct ProcessSpec {
  kj::Array<kj::String> arguments;    // at least one
  kj::Array<kj::String> environment;  // KEY=value
  kj::String workingDirectory;        // absolute
  kj::String user;
  kj::Maybe<TerminalSize> terminal;
  kj::Maybe<kj::Duration> timeout;
  Authority authority;
};

enum class RootAccess { writable, readOnly };

struct ContainerSpec {
  kj::String id;
  kj::String rootDisk;  // a name in /dev
  ProcessSpec process;
  kj::String hostname;  // empty: the zone's
  uint64_t memoryLimitBytes = 0;
  uint32_t pidsLimit = 0;
  RootAccess rootAccess = RootAccess::writable;
  size_t logBytes = 0;
  int stopSignal = 0;
  ContainerSettings settings;
};

constexpr size_t kDefaultLogBytes = 1 << 20;
constexpr size_t kMostLogBytes = 64 << 20;

// All fail with `invalid`, naming the field; those of whole processes also with `noEntrypoint`.
Authority readAuthority(schema::ProcessSpec::Reader reader);
ProcessSpec readProcessSpec(schema::ProcessSpec::Reader reader);
ContainerSpec readContainerSpec(schema::WorkloadSpec::Reader reader);

// Number of a signal given as "SIGTERM", "TERM" or "15"; empty is SIGTERM. Fails with `invalid`.
int parseSignal(kj::StringPtr text);

// Fails with `invalid` for a number that is no signal.
int checkSignal(int number);

// Fails with `invalid` for a name that is no host name: letters, digits, '-' and '.', 64 at most.
void checkHostname(kj::StringPtr name);

}  // namespace bulkhead::zone
