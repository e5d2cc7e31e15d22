// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/io.h>

#include "schemas/image.capnp.h"
#include "services/runtime/progress.h"
#include "services/zoned/record.h"

namespace bulkhead {

// What a zone is made of: the descriptors of its domain, and what its image says of its end.
struct LaunchImages {
  kj::AutoCloseFd kernel;
  kj::AutoCloseFd initrd;
  kj::AutoCloseFd root;
  kj::AutoCloseFd addons;

  // Leases: imaged keeps the images while these are held. With them the digests of their manifests.
  kj::Vector<schema::Image::Client> leases;
  kj::Vector<kj::String> digests;

  // As the image names it; empty where it names none.
  kj::String stopSignal;
};

// Pulls root, kernel and system image in parallel and opens what a domain needs. Merges the image's
// process into the record's specification, so that an image with nothing to run fails here, before
// anything was built. Dropping the promise cancels the pulls.
kj::Promise<LaunchImages> gatherImages(schema::ImageStore::Client store, ZoneRecord& record,
                                       Progress& progress);

}  // namespace bulkhead
