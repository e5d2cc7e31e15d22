// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "services/cli/context.h"

namespace bulkhead {

enum class ListDetail { all, namesOnly };
int listZonesCommand(CommandContext& context, ListDetail detail);

int zoneInfoCommand(CommandContext& context, const std::string& zone);

// These do something to every named zone; they go on after a failure and then return the code of
// the first.
int destroyCommand(CommandContext& context, const std::vector<std::string>& zones);
int pauseCommand(CommandContext& context, const std::vector<std::string>& zones);
int unpauseCommand(CommandContext& context, const std::vector<std::string>& zones);

struct StopOptions {
  std::vector<std::string> zones;
  unsigned graceSeconds = 10;
};
int stopCommand(CommandContext& context, const StopOptions& options);

// What zones use; all that run where none is named.
int statsCommand(CommandContext& context, const std::vector<std::string>& zones);

// What runs in a zone.
int topCommand(CommandContext& context, const std::string& zone);

// Returns the exit code of the zone's workload.
int waitCommand(CommandContext& context, const std::string& zone);

struct LogsOptions {
  std::string zone;
  bool follow = false;
  unsigned tail = 0;
  std::string since;  // as `timeNanoseconds` reads it; empty: all that is kept
  std::string until;  // empty: up to now; when following: without end
  bool timestamps = false;
};
int logsCommand(CommandContext& context, const LogsOptions& options);

enum class ConsoleReach { history, follow };
int consoleCommand(CommandContext& context, const std::string& zone, ConsoleReach reach);

}  // namespace bulkhead
