// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "services/cli/context.h"

namespace bulkhead {

struct PullCommandOptions {
  std::string reference;
  bool always = false;
  std::string user;  // the password comes from the environment: BULKHEAD_REGISTRY_PASSWORD
};
int pullCommand(CommandContext& context, const PullCommandOptions& options);
enum class ImageDetail { all, referencesOnly };
int listImagesCommand(CommandContext& context, ImageDetail detail);

int removeImageCommand(CommandContext& context, const std::string& reference);
int hostStatusCommand(CommandContext& context);
int versionCommand(CommandContext& context);

}  // namespace bulkhead
