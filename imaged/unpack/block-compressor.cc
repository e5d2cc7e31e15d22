// SPDX-License-Identifier: Apache-2.0
#include "imaged/unpack/block-compressor.h"

namespace bulkhead {

// A compressor's first member is its object, as everywhere in libsquashfs.
BlockCompressor::BlockCompressor() : sqfs_compressor_t{} {
  base.destroy = [](sqfs_object_t* object) {
    delete static_cast<BlockCompressor*>(reinterpret_cast<sqfs_compressor_t*>(object));
  };
  base.copy = [](const sqfs_object_t* object) -> sqfs_object_t* {
    const auto* self =
        static_cast<const BlockCompressor*>(reinterpret_cast<const sqfs_compressor_t*>(object));
    auto* inner = static_cast<sqfs_compressor_t*>(sqfs_copy(self->library.get()));
    if (inner == nullptr) return nullptr;
    auto* copy = new BlockCompressor();
    copy->library = inner;
    return &copy->base;
  };
  get_configuration = [](const sqfs_compressor_t* self, sqfs_compressor_config_t* config) {
    auto* inner = static_cast<const BlockCompressor*>(self)->library.get();
    inner->get_configuration(inner, config);
  };
  write_options = [](sqfs_compressor_t* self, sqfs_file_t* file) {
    auto* inner = static_cast<BlockCompressor*>(self)->library.get();
    return inner->write_options(inner, file);
  };
  read_options = [](sqfs_compressor_t* self, sqfs_file_t* file) {
    auto* inner = static_cast<BlockCompressor*>(self)->library.get();
    return inner->read_options(inner, file);
  };
  do_block = [](sqfs_compressor_t* self, const sqfs_u8* in, sqfs_u32 size, sqfs_u8* out,
                sqfs_u32 outSize) {
    auto* inner = static_cast<BlockCompressor*>(self)->library.get();
    sqfs_s32 result = inner->do_block(inner, in, size, out, outSize);
    return result > 0 && static_cast<sqfs_u32>(result) >= size ? sqfs_s32{0} : result;
  };
}

sqfs_compressor_t* BlockCompressor::make(const sqfs_compressor_config_t& config) {
  Sqfs<sqfs_compressor_t> inner;
  checkSqfs(sqfs_compressor_create(&config, inner.out()), "compressor");
  auto* compressor = new BlockCompressor();
  compressor->library = inner.release();
  return compressor;
}

}  // namespace bulkhead
