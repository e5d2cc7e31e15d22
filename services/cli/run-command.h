// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "services/cli/container-options.h"
#include "services/cli/context.h"

namespace bulkhead {

// What `run` and `zone launch` take; the names are those of the options.
struct LaunchOptions {
  std::string image;
  std::vector<std::string> command;
  std::string name;
  std::string memory;
  unsigned vcpus = 0;
  bool pv = false;
  bool pvh = false;
  std::string network;
  std::vector<std::string> environment;
  std::string workingDirectory;
  std::string user;
  std::vector<std::string> entrypoint;
  std::string hostname;
  std::vector<std::string> labels;
  std::string pull;
  std::string kernelImage;
  std::string systemImage;
  std::vector<std::string> extensionImages;
  std::string kernelOptions;
  bool readOnly = false;
  ContainerOptions container;
  bool input = false;
  bool terminal = false;
  bool removeWhenExited = false;  // --rm
  bool keep = false;
  bool noWait = false;
  bool timings = false;
};

// Makes a zone, starts its workload on this terminal, waits, and removes the zone unless `keep`.
// Returns the workload's exit code.
int runCommand(CommandContext& context, const LaunchOptions& options);

// Makes a zone whose workload runs by itself; prints its name.
int launchCommand(CommandContext& context, const LaunchOptions& options);

struct ExecOptions {
  std::string zone;
  std::vector<std::string> command;
  std::vector<std::string> environment;
  std::string workingDirectory;
  std::string user;
  std::string timeout;
  bool input = false;
  bool terminal = false;
};

// Runs a further process in a zone. Returns its exit code.
int execCommand(CommandContext& context, const ExecOptions& options);

// "256", "256M", "1G", "1GiB": MiB. Fails with `invalid`.
uint32_t memoryMiBOf(kj::StringPtr text);

}  // namespace bulkhead
