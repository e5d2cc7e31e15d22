// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async.h>
#include <kj/timer.h>

#include "schemas/image-worker.capnp.h"
#include "services/runtime/progress.h"

namespace bulkhead {

struct ExtractedDisk {
  uint64_t bytes;
  schema::Image::DiskFormat format;
};

// The disk of a virtual machine, delivered as an image (KubeVirt's "containerDisk"): one layer with
// one file below /disk, named *.img, *.raw or *.qcow2, and nothing else. Writes the file into
// `into`, which is empty, and leaves holes where it is zero. None where the layer is another thing:
// that is known at its first other member. The layer is verified as a whole; descriptors are
// borrowed. Fails as packLayers does, and with `invalid` for a qcow2 that refers to other files.
kj::Promise<kj::Maybe<ExtractedDisk>> extractDisk(kj::Timer& timer, int blob,
                                                  schema::Layer::Reader layer, int into,
                                                  uint64_t maxBytes, Progress& progress);

}  // namespace bulkhead
