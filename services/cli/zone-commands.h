// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "services/cli/context.h"

namespace bulkhead {

enum class ListDetail { all, namesOnly };
int listZonesCommand(CommandContext& context, ListDetail detail);

int zoneInfoCommand(CommandContext& context, const std::string& zone);

// Destroys every named zone; goes on after a failure and then returns the code of the first.
int destroyCommand(CommandContext& context, const std::vector<std::string>& zones);

// Returns the exit code of the zone's workload.
int waitCommand(CommandContext& context, const std::string& zone);

struct LogsOptions {
  std::string zone;
  bool follow = false;
  unsigned tail = 0;
};
int logsCommand(CommandContext& context, const LogsOptions& options);

enum class ConsoleReach { history, follow };
int consoleCommand(CommandContext& context, const std::string& zone, ConsoleReach reach);

}  // namespace bulkhead
