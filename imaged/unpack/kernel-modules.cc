// SPDX-License-Identifier: Apache-2.0
#include "imaged/unpack/kernel-modules.h"

#include <string.h>
#include <sys/stat.h>

#include <kj/debug.h>

extern "C" {
#include <sqfs/compressor.h>
#include <sqfs/dir_reader.h>
#include <sqfs/inode.h>
#include <sqfs/super.h>
}

#include "imaged/file-bytes.h"
#include "imaged/unpack/sqfs-file.h"
#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

constexpr kj::StringPtr kAddons = "kernel/addons.squashfs"_kj;
constexpr kj::StringPtr kBootArchive = "kernel/boot.cpio"_kj;
// In a module's .modinfo: the version of its kernel, a space, and how that was built.
constexpr kj::StringPtr kVersionMagic = "vermagic="_kj;
constexpr size_t kBuffer = 1u << 20;

void require(int result, kj::StringPtr why) {
  if (result != 0) fail(FailureCode::INVALID, kAddons, why);
}

}  // namespace

void requireModulesFor(kj::StringPtr version, int squashfs) {
  SqfsFile file(squashfs, sizeOf(squashfs));
  sqfs_super_t super{};
  require(sqfs_super_read(&super, &file), "this is no squashfs");
  sqfs_compressor_config_t config;
  auto kind = static_cast<SQFS_COMPRESSOR>(super.compression_id);
  require(sqfs_compressor_config_init(&config, kind, super.block_size, SQFS_COMP_FLAG_UNCOMPRESS),
          "the squashfs is compressed in a way that is not known");
  Sqfs<sqfs_compressor_t> compressor;
  require(sqfs_compressor_create(&config, compressor.out()),
          "the squashfs is compressed in a way that is not known");
  Sqfs<sqfs_dir_reader_t> reader;
  reader = sqfs_dir_reader_create(&super, compressor.get(), &file, 0);
  sqfs_inode_generic_t* inode = nullptr;
  auto path = kj::str("modules/", version);
  int found = sqfs_dir_reader_find_by_path(reader.get(), nullptr, path.cStr(), &inode);
  KJ_DEFER(sqfs_free(inode));
  if (found != 0 || !S_ISDIR(inode->base.mode)) {
    fail(FailureCode::INVALID, kAddons,
         kj::str("there is no directory /", path, ", so it belongs to another kernel"));
  }
}

void requireBootModulesFor(kj::StringPtr version, int archive) {
  uint64_t size = sizeOf(archive);
  auto buffer = kj::heapArray<kj::byte>(kBuffer);
  // What is cut by the end of one buffer is whole in the next.
  constexpr size_t kOverlap = 256;
  auto wanted = kj::str(kVersionMagic, version, " ");
  for (uint64_t at = 0; at < size; at += kBuffer - kOverlap) {
    auto part = buffer.slice(0, kj::min(kBuffer, size - at)).asChars();
    readAt(archive, at, part.asBytes());
    bool last = at + part.size() == size;
    for (auto rest = part;;) {
      auto* found = static_cast<char*>(
          memmem(rest.begin(), rest.size(), kVersionMagic.begin(), kVersionMagic.size()));
      if (found == nullptr) break;
      rest = kj::arrayPtr(found, part.end());
      bool whole = last || rest.size() >= kOverlap;
      if (!whole) break;
      if (rest.size() < wanted.size() || memcmp(found, wanted.begin(), wanted.size()) != 0) {
        auto text = rest.slice(0, kj::min(rest.size(), size_t{64}));
        fail(FailureCode::INVALID, kBootArchive,
             kj::str("a module says '", printable(text), "', the kernel is ", version));
      }
      rest = rest.slice(kVersionMagic.size(), rest.size());
    }
  }
}

}  // namespace bulkhead
