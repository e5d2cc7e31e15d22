// SPDX-License-Identifier: Apache-2.0
// For tests: images for the store without anybody who packs them, and a look at all of a store.
#pragma once

#include <string>
#include <vector>

#include "imaged/store/image-index.h"

namespace bulkhead::testing {

// An image of these layers, each given by its content; the same content is the same layer.
struct FakeImage {
  std::string name;
  std::vector<std::string> layers;

  kj::String manifest() const { return kj::str("manifest of ", name.c_str()); }
  kj::String folder() const { return Digest::of(manifest().asBytes()).hex(); }

  // Puts it into the store as a pull does, with those layers that are missing there.
  kj::Own<StoredImage> publish(StoreDirectory& directory, ImageIndex& index) const;

  static Reference reference(kj::StringPtr text) { return Reference::parse(text, "docker.io"); }
};

// Everything that is wrong in a store, read from the disk; empty where it is whole. Makes `tmp` and
// `blobs` hold nothing that nobody needs.
std::string faultsOf(StoreDirectory& directory, ImageIndex& index);

}  // namespace bulkhead::testing
