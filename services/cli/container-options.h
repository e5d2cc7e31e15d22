// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include <kj/time.h>
#include <CLI/CLI.hpp>

#include "schemas/platform.capnp.h"

namespace bulkhead {

// How a container is set up, as people write it; the names are those of the options.
struct ContainerOptions {
  std::vector<std::string> addedCapabilities;
  std::vector<std::string> droppedCapabilities;
  std::vector<std::string> ambientCapabilities;
  std::vector<std::string> groups;
  std::vector<std::string> limits;
  std::vector<std::string> memoryMounts;
  std::vector<std::string> sysctls;
  std::vector<std::string> cgroup;
  std::vector<std::string> devices;
  std::vector<std::string> namespaces;
  std::vector<std::string> userMappings;
  std::vector<std::string> groupMappings;
  std::vector<std::string> security;
  std::string sharedMemory;
  std::string domainName;
  std::string stopSignal;
  std::string timeout;
  int oomScoreAdjust = 0;
  unsigned processes = 0;
  bool privileged = false;
};

void addContainerOptions(CLI::App& app, ContainerOptions& options);

// Fails with `invalid`, naming the option.
void fillContainer(schema::ZoneSpec::Builder spec, const ContainerOptions& options);

// What a process's timeout is written in, of "90" (seconds), "90s", "1h30m". Empty: none.
uint32_t timeoutMillisecondsOf(kj::StringPtr text);

// "4096", "64k", "512M", "1G", "1GiB": bytes. Fails with `invalid`, naming the option.
uint64_t bytesOf(kj::StringPtr option, kj::StringPtr text);

}  // namespace bulkhead
