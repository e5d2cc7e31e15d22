// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "services/zoned/zone.h"

namespace bulkhead {

// Holds the images of a zone that runs, so that imaged does not collect them, and takes hold of
// them again whenever imaged or zoned has been restarted. Never resolves.
kj::Promise<void> keepImages(Zone& zone);

}  // namespace bulkhead
