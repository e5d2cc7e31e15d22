// SPDX-License-Identifier: Apache-2.0
// For tests: stacks of layers that any builder could have made.
#pragma once

#include <cstdint>

#include <kj/array.h>
#include <kj/string.h>
#include <kj/vector.h>

namespace bulkhead::testing {

struct RandomLayers {
  kj::Vector<kj::Array<kj::byte>> tars;  // oldest first
  kj::Vector<kj::String> steps;          // what is in them, for people
};

// The same seed gives the same layers: files, directories, links of both kinds, nodes, attributes,
// whiteouts and opaque directories; names are few, so that layers meet. Every member's parent is a
// directory that is there, since readers differ in what they do otherwise.
RandomLayers makeRandomLayers(uint32_t seed);

}  // namespace bulkhead::testing
