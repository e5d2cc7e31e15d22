// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "imaged/store/pull-job.h"
#include "schemas/image.capnp.h"
#include "services/runtime/log.h"

namespace bulkhead {

// Makes the `Image` that a reference names.
using ImageMaker = kj::Function<schema::Image::Client(const Reference& reference)>;

// What changes the store for everybody. `services` are borrowed and outlive every keeper; `images`
// is used as long as the keeper or one of its imports lives.
schema::ImageKeeper::Client makeImageKeeper(PullServices services, ImageMaker images, Log& log);

}  // namespace bulkhead
