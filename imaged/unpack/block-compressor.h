// SPDX-License-Identifier: Apache-2.0
#pragma once

extern "C" {
#include <sqfs/compressor.h>
}

#include "imaged/unpack/sqfs-file.h"

namespace bulkhead {

// libsquashfs' compressors, but a block that would not shrink is always stored as it is. With LZ4
// the library stores it grown, and no reader takes a block that is larger than what it holds.
//
// The owner is whoever holds the object: Sqfs<>, or libsquashfs for the copies it makes.
class BlockCompressor final : public sqfs_compressor_t {
 public:
  // Throws where the library cannot make such a compressor.
  static sqfs_compressor_t* make(const sqfs_compressor_config_t& config);

  KJ_DISALLOW_COPY_AND_MOVE(BlockCompressor);

 private:
  Sqfs<sqfs_compressor_t> library;

  BlockCompressor();
};

}  // namespace bulkhead
