// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <deque>

#include <kj/debug.h>
#include <kj/map.h>

extern "C" {
#include <sqfs/block_processor.h>
#include <sqfs/block_writer.h>
#include <sqfs/compressor.h>
#include <sqfs/dir.h>
#include <sqfs/dir_writer.h>
#include <sqfs/frag_table.h>
#include <sqfs/id_table.h>
#include <sqfs/inode.h>
#include <sqfs/meta_writer.h>
#include <sqfs/super.h>
#include <sqfs/xattr_writer.h>
}

#include "imaged/unpack/block-compressor.h"
#include "imaged/unpack/processors.h"
#include "imaged/unpack/sqfs-file.h"
#include "imaged/unpack/tree-writer.h"
#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

constexpr size_t kBlock = SQFS_DEFAULT_BLOCK_SIZE;
constexpr size_t kAlignment = 4096;
// Of zstd. A pull waits for this: level 1 takes half the time of level 3, for some 4 % more space.
constexpr uint32_t kLevel = 1;
// More would only wait for the one thread that decompresses.
constexpr uint kMostWorkers = 4;
// Blocks on their way per worker.
constexpr uint kBacklog = 10;
constexpr uint32_t kNoAttributes = 0xffffffff;

// Inodes that libsquashfs made or that it frees. It is given the address of each pointer: they do
// not move.
class Inodes {
 public:
  Inodes() = default;
  ~Inodes() {
    for (auto* inode : all) sqfs_free(inode);
  }
  KJ_DISALLOW_COPY_AND_MOVE(Inodes);

  sqfs_inode_generic_t*& add() { return all.emplace_back(nullptr); }

 private:
  std::deque<sqfs_inode_generic_t*> all;
};

uint16_t modeOf(const ImageInode& inode) {
  switch (inode.type) {
    case TarEntry::Type::file:
      return static_cast<uint16_t>(S_IFREG | inode.mode);
    case TarEntry::Type::directory:
      return static_cast<uint16_t>(S_IFDIR | inode.mode);
    case TarEntry::Type::symlink:
      return static_cast<uint16_t>(S_IFLNK | 0777);
    case TarEntry::Type::characterDevice:
      return static_cast<uint16_t>(S_IFCHR | inode.mode);
    case TarEntry::Type::blockDevice:
      return static_cast<uint16_t>(S_IFBLK | inode.mode);
    case TarEntry::Type::fifo:
      return static_cast<uint16_t>(S_IFIFO | inode.mode);
    case TarEntry::Type::hardLink:
      break;
  }
  KJ_UNREACHABLE;
}

uint32_t timeOf(int64_t seconds) {
  if (seconds < 0) return 0;
  return static_cast<uint32_t>(kj::min(seconds, int64_t{0xffffffff}));
}

class SquashfsWriter final : public TreeWriter {
 public:
  SquashfsWriter(int fd, SQFS_COMPRESSOR kind) : file(fd, 0) {
    sqfs_compressor_config_t config;
    checkSqfs(sqfs_compressor_config_init(&config, kind, kBlock, 0), "compressor");
    if (kind == SQFS_COMP_ZSTD) config.level = kLevel;
    compressor = BlockCompressor::make(config);
    config.flags = SQFS_COMP_FLAG_UNCOMPRESS;
    checkSqfs(sqfs_compressor_create(&config, decompressor.out()), "decompressor");

    checkSqfs(sqfs_super_init(&super, kBlock, 0, kind), "super block");
    checkSqfs(sqfs_super_write(&super, &file), "super block");
    int options = compressor.get()->write_options(compressor.get(), &file);
    checkSqfs(options < 0 ? options : 0, "compressor options");
    if (options > 0) super.flags |= SQFS_FLAG_COMPRESSOR_OPTIONS;

    fragments = sqfs_frag_table_create(0);
    blocks = sqfs_block_writer_create(&file, kAlignment, 0);
    sqfs_block_processor_desc_t description{};
    description.size = sizeof description;
    description.max_block_size = kBlock;
    description.num_workers = processors(kMostWorkers);
    description.max_backlog = kBacklog * description.num_workers;
    description.cmp = compressor.get();
    description.wr = blocks.get();
    description.tbl = fragments.get();
    // With these two equal hashes are not trusted: duplicates are compared byte by byte.
    description.file = &file;
    description.uncmp = decompressor.get();
    checkSqfs(sqfs_block_processor_create_ex(&description, processor.out()), "block processor");
    ids = sqfs_id_table_create(0);
    attributes = sqfs_xattr_writer_create(0);
  }

  ~SquashfsWriter() noexcept(false) override {
    // The processor frees its blocks as they are done with, and forgets those under way at its end.
    if (processor.get() == nullptr) return;
    if (fileIsOpen) sqfs_block_processor_end_file(processor.get());
    sqfs_block_processor_sync(processor.get());
  }

  Content takesContent() const override { return Content::beforeTree; }

  void beginContent(ContentId id) override {
    auto& inode = inodes.add();
    contents.insert(id, &inode);
    checkSqfs(sqfs_block_processor_begin_file(processor.get(), &inode, nullptr, 0), "file");
    fileIsOpen = true;
  }
  void endContent() override { endFile(); }

  void begin(ImageTree& treeParam) override {
    tree = &treeParam;
    KJ_REQUIRE(tree->inodes() < 0xffffffff);
    tree->root().inode->number = ++numbers;
    number(tree->root());
  }

  void beginFile(ImageInode& inode) override { beginContent({inode.layer, inode.member}); }
  void append(kj::ArrayPtr<const kj::byte> bytes) override {
    checkSqfs(sqfs_block_processor_append(processor.get(), bytes.begin(), bytes.size()), "content");
  }
  void endFile() override {
    fileIsOpen = false;
    checkSqfs(sqfs_block_processor_end_file(processor.get()), "file");
  }

  uint64_t finish() override {
    checkSqfs(sqfs_block_processor_finish(processor.get()), "blocks");
    inodeTable = sqfs_meta_writer_create(&file, compressor.get(), 0);
    directoryTable =
        sqfs_meta_writer_create(&file, compressor.get(), SQFS_META_WRITER_KEEP_IN_MEMORY);
    directories = sqfs_dir_writer_create(directoryTable.get(), 0);
    super.inode_table_start = file.size();
    writeDirectory(tree->root(), 0);
    super.root_inode_ref = tree->root().inode->location;
    checkSqfs(sqfs_meta_writer_flush(inodeTable.get()), "inodes");
    checkSqfs(sqfs_meta_writer_flush(directoryTable.get()), "directories");
    super.directory_table_start = file.size();
    checkSqfs(sqfs_meta_write_write_to_file(directoryTable.get()), "directories");
    super.inode_count = numbers;
    checkSqfs(sqfs_frag_table_write(fragments.get(), &file, &super, compressor.get()), "fragments");
    checkSqfs(sqfs_id_table_write(ids.get(), &file, &super, compressor.get()), "ids");
    checkSqfs(sqfs_xattr_writer_flush(attributes.get(), &file, &super, compressor.get()),
              "attributes");
    super.bytes_used = file.size();
    checkSqfs(sqfs_super_write(&super, &file), "super block");
    uint64_t padded = (file.size() + kAlignment - 1) / kAlignment * kAlignment;
    checkSqfs(file.truncate(&file, padded), "padding");
    return padded;
  }

 private:
  // In the order of construction; the processor, which uses the others, goes first.
  SqfsFile file;
  sqfs_super_t super{};
  Sqfs<sqfs_compressor_t> compressor;
  Sqfs<sqfs_compressor_t> decompressor;
  Sqfs<sqfs_frag_table_t> fragments;
  Sqfs<sqfs_block_writer_t> blocks;
  Sqfs<sqfs_id_table_t> ids;
  Sqfs<sqfs_xattr_writer_t> attributes;
  Sqfs<sqfs_meta_writer_t> inodeTable;
  Sqfs<sqfs_meta_writer_t> directoryTable;
  Sqfs<sqfs_dir_writer_t> directories;
  Inodes inodes;
  kj::HashMap<ContentId, sqfs_inode_generic_t**> contents;
  Sqfs<sqfs_block_processor_t> processor;
  ImageTree* tree = nullptr;
  bool fileIsOpen = false;
  uint32_t numbers = 0;

  // Neighbours get neighbouring numbers: that is what directory entries are short by.
  void number(ImageNode& directory) {
    for (auto& entry : directory.children) {
      auto& inode = *entry.value->inode;
      if (inode.number == 0) inode.number = ++numbers;
    }
    for (auto& entry : directory.children) {
      if (entry.value->isDirectory()) number(*entry.value);
    }
  }

  uint32_t attributesOf(const ImageInode& inode) {
    if (inode.attributes.size() == 0) return kNoAttributes;
    checkSqfs(sqfs_xattr_writer_begin(attributes.get(), 0), "attributes");
    for (const auto& attribute : inode.attributes) {
      checkSqfs(sqfs_xattr_writer_add(attributes.get(), attribute.name.cStr(),
                                      attribute.value.begin(), attribute.value.size()),
                "attribute");
    }
    uint32_t index = kNoAttributes;
    checkSqfs(sqfs_xattr_writer_end(attributes.get(), &index), "attributes");
    return index;
  }

  void writeInode(ImageInode& inode, sqfs_inode_generic_t* raw) {
    raw->base.mode = modeOf(inode);
    raw->base.mod_time = timeOf(inode.modified);
    raw->base.inode_number = inode.number;
    checkSqfs(sqfs_id_table_id_to_index(ids.get(), inode.user, &raw->base.uid_idx), "user");
    checkSqfs(sqfs_id_table_id_to_index(ids.get(), inode.group, &raw->base.gid_idx), "group");
    uint64_t block;
    uint32_t offset;
    sqfs_meta_writer_get_position(inodeTable.get(), &block, &offset);
    inode.location = block << 16 | offset;
    checkSqfs(sqfs_meta_writer_write_inode(inodeTable.get(), raw), "inode");
  }

  void writeDirectory(ImageNode& node, uint32_t parent) {
    for (auto& entry : node.children) {
      if (entry.value->isDirectory()) {
        writeDirectory(*entry.value, node.inode->number);
      } else if (entry.value->inode->location == 0) {
        writeOther(*entry.value->inode);
      }
    }
    checkSqfs(sqfs_dir_writer_begin(directories.get(), 0), "directory");
    for (auto& entry : node.children) {
      const auto& inode = *entry.value->inode;
      checkSqfs(sqfs_dir_writer_add_entry(directories.get(), entry.key.cStr(), inode.number,
                                          location(inode), modeOf(inode)),
                "directory entry");
    }
    checkSqfs(sqfs_dir_writer_end(directories.get()), "directory");
    auto& inode = *node.inode;
    auto* raw = sqfs_dir_writer_create_inode(directories.get(), inode.links - 2,
                                             attributesOf(inode), parent);
    KJ_REQUIRE(raw != nullptr, "libsquashfs failed");
    KJ_DEFER(sqfs_free(raw));
    if (raw->base.type == SQFS_INODE_DIR) {
      raw->data.dir.nlink = inode.links;
    } else {
      raw->data.dir_ext.nlink = inode.links;
    }
    writeInode(inode, raw);
  }

  // Location 0 belongs to the first inode written; the mark keeps it apart from "not written".
  static constexpr uint64_t kWritten = uint64_t{1} << 63;
  static uint64_t location(const ImageInode& inode) { return inode.location & ~kWritten; }

  void writeOther(ImageInode& inode) {
    sqfs_inode_generic_t* raw = nullptr;
    if (inode.type == TarEntry::Type::file && inode.size > 0) {
      raw = *KJ_ASSERT_NONNULL(contents.find(ContentId{inode.layer, inode.member}));
    } else {
      size_t extra = inode.symlinkTarget.size() + 1;
      raw = static_cast<sqfs_inode_generic_t*>(calloc(1, sizeof(sqfs_inode_generic_t) + extra));
      KJ_REQUIRE(raw != nullptr, "no memory for an inode");
      inodes.add() = raw;
      describe(inode, raw);
    }
    uint32_t index = attributesOf(inode);
    if (index != kNoAttributes || (inode.links > 1 && inode.type == TarEntry::Type::file)) {
      checkSqfs(sqfs_inode_make_extended(raw), "inode");
    }
    if (index != kNoAttributes) checkSqfs(sqfs_inode_set_xattr_index(raw, index), "inode");
    setLinks(inode, raw);
    writeInode(inode, raw);
    inode.location |= kWritten;
  }

  static void describe(const ImageInode& inode, sqfs_inode_generic_t* raw) {
    auto target = inode.symlinkTarget.asArray();
    switch (inode.type) {
      case TarEntry::Type::file:
        // An empty one: the others come from the block processor.
        raw->base.type = SQFS_INODE_FILE;
        raw->data.file.fragment_index = 0xffffffff;
        break;
      case TarEntry::Type::symlink:
        raw->base.type = SQFS_INODE_SLINK;
        raw->data.slink.target_size = static_cast<uint32_t>(target.size());
        raw->payload_bytes_available = static_cast<uint32_t>(target.size());
        raw->payload_bytes_used = static_cast<uint32_t>(target.size());
        memcpy(raw->extra, target.begin(), target.size());
        break;
      case TarEntry::Type::characterDevice:
      case TarEntry::Type::blockDevice:
        raw->base.type =
            inode.type == TarEntry::Type::blockDevice ? SQFS_INODE_BDEV : SQFS_INODE_CDEV;
        raw->data.dev.devno = (inode.deviceMinor & 0xff) | inode.deviceMajor << 8 |
                              (inode.deviceMinor & ~0xffu) << 12;
        break;
      case TarEntry::Type::fifo:
        raw->base.type = SQFS_INODE_FIFO;
        break;
      case TarEntry::Type::directory:
      case TarEntry::Type::hardLink:
        KJ_UNREACHABLE;
    }
  }

  static void setLinks(const ImageInode& inode, sqfs_inode_generic_t* raw) {
    switch (raw->base.type) {
      case SQFS_INODE_EXT_FILE:
        raw->data.file_ext.nlink = inode.links;
        break;
      case SQFS_INODE_SLINK:
        raw->data.slink.nlink = inode.links;
        break;
      case SQFS_INODE_EXT_SLINK:
        raw->data.slink_ext.nlink = inode.links;
        break;
      case SQFS_INODE_BDEV:
      case SQFS_INODE_CDEV:
        raw->data.dev.nlink = inode.links;
        break;
      case SQFS_INODE_EXT_BDEV:
      case SQFS_INODE_EXT_CDEV:
        raw->data.dev_ext.nlink = inode.links;
        break;
      case SQFS_INODE_FIFO:
        raw->data.ipc.nlink = inode.links;
        break;
      case SQFS_INODE_EXT_FIFO:
        raw->data.ipc_ext.nlink = inode.links;
        break;
      default:
        break;  // a plain file has one name
    }
  }
};

}  // namespace

kj::Own<TreeWriter> makeSquashfsWriter(int output, schema::BlockCompression compression) {
  switch (compression) {
    case schema::BlockCompression::LZ4:
      return kj::heap<SquashfsWriter>(output, SQFS_COMP_LZ4);
    case schema::BlockCompression::ZSTD:
      return kj::heap<SquashfsWriter>(output, SQFS_COMP_ZSTD);
  }
  fail(FailureCode::UNSUPPORTED, "pack", "this build does not know that compression");
}

}  // namespace bulkhead
