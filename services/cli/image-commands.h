// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "services/cli/context.h"

namespace bulkhead {

// What a command prints that brought one image: its reference, or all of it as JSON.
void printImage(CommandContext& context, schema::ImageInfo::Reader image);

struct PullCommandOptions {
  std::string reference;
  bool always = false;
  std::string user;      // the password comes from the environment: BULKHEAD_REGISTRY_PASSWORD
  std::string platform;  // "os/architecture[/variant]"; empty: this machine's
};
int pullCommand(CommandContext& context, const PullCommandOptions& options);

enum class ImageDetail { all, referencesOnly };
int listImagesCommand(CommandContext& context, ImageDetail detail);

int inspectImageCommand(CommandContext& context, const std::string& reference);
int imageHistoryCommand(CommandContext& context, const std::string& reference);

// Of these images, or of all where none is named. Returns 1 where something is damaged.
int verifyImagesCommand(CommandContext& context, const std::vector<std::string>& references);

int removeImagesCommand(CommandContext& context, const std::vector<std::string>& references);

struct PruneCommandOptions {
  bool all = false;
};
int pruneImagesCommand(CommandContext& context, const PruneCommandOptions& options);
int imageUsageCommand(CommandContext& context);

struct ExportCommandOptions {
  std::string reference;
  std::string file;       // "-": standard output
  std::string directory;  // instead of a file
};
int exportImageCommand(CommandContext& context, const ExportCommandOptions& options);

struct ImportCommandOptions {
  std::string source;  // a file, a directory, "-": standard input
  std::string reference;
};
int importImageCommand(CommandContext& context, const ImportCommandOptions& options);

}  // namespace bulkhead
