// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "services/cli/context.h"

namespace bulkhead {

int hostStatusCommand(CommandContext& context);
int versionCommand(CommandContext& context);

}  // namespace bulkhead
