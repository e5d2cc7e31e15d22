// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>

#include <kj/common.h>
#include <kj/string.h>

#include "schemas/image.capnp.h"

namespace bulkhead {

// An operating system and a kind of processor, in the names of the Go tool chain that the OCI
// image specification uses.
struct PlatformName {
  kj::String os;
  kj::String architecture;
  kj::String variant;  // may be empty

  // This machine's, for whatever is empty in `wanted`.
  static PlatformName resolve(schema::ImagePlatform::Reader wanted);

  PlatformName clone() const;
  void write(schema::ImagePlatform::Builder out) const;

  // "linux/arm/v7"
  kj::String describe() const;
};

// How well an image made for `offered` runs on `wanted`: none where it does not, otherwise the
// higher the better. An image without a variant is one for the architecture's oldest.
kj::Maybe<uint> platformFit(const PlatformName& wanted, const PlatformName& offered);

}  // namespace bulkhead
