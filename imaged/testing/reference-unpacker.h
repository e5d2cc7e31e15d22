// SPDX-License-Identifier: Apache-2.0
// For tests: what others make of the same layers.
#pragma once

#include <map>
#include <string>

#include "imaged/testing/pack-fixture.h"

namespace bulkhead::testing {

// Everything below a directory: by path, all that can be said of what is there, other names of the
// same file included.
std::map<std::string, std::string> describeTree(const std::string& directory);

// Packs layers, has umoci unpack them, and compares; only root can. Layers come oldest first.
class ReferenceTest : public PackTest {
 protected:
  // Empty where both trees are the same; otherwise the differences.
  std::string difference(kj::ArrayPtr<const kj::Array<kj::byte>> tars);

 private:
  uint runs = 0;
};

}  // namespace bulkhead::testing
