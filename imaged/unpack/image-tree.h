// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>

#include <kj/map.h>
#include <kj/refcount.h>
#include <kj/vector.h>

#include "imaged/unpack/tar-reader.h"
#include "imaged/unpack/whiteout.h"

namespace bulkhead {

// What one or more names of an image stand for.
struct ImageInode : public kj::Refcounted {
  TarEntry::Type type = TarEntry::Type::directory;  // never hardLink
  uint32_t mode = 0755;
  uint32_t user = 0;
  uint32_t group = 0;
  uint32_t deviceMajor = 0;
  uint32_t deviceMinor = 0;
  int64_t modified = 0;
  kj::String symlinkTarget;
  kj::Vector<ExtendedAttribute> attributes;

  // Of a file: its size, and which member of which layer holds its bytes.
  uint64_t size = 0;
  uint layer = 0;
  uint64_t member = 0;

  // Set by ImageTree::finish: names of a file, or 2 and the subdirectories of a directory.
  uint links = 0;

  // For whoever writes the tree.
  uint32_t number = 0;
  uint64_t location = 0;
};

// A name in a directory.
struct ImageNode {
  kj::Own<ImageInode> inode;
  uint layer = 0;                                        // the last one that named it
  kj::TreeMap<kj::String, kj::Own<ImageNode>> children;  // of a directory, in byte order

  bool isDirectory() const { return inode->type == TarEntry::Type::directory; }
};

// What may be kept in memory about a tree; counts down.
class TreeMemory {
 public:
  explicit TreeMemory(uint64_t bytes) : limit(bytes), left(bytes) {}

  // Fails with `exhausted`. `subject` is the layer that asks too much.
  void take(uint64_t bytes, kj::StringPtr subject);
  void give(uint64_t bytes) { left += bytes; }

  // An entry as it was read.
  static uint64_t sizeOf(const TarEntry& entry);

 private:
  uint64_t limit;
  uint64_t left;
};

// Layers laid over each other in memory, as OCI image specification, "Image Layer Filesystem
// Changeset", has it; nothing is extracted anywhere and no symbolic link is ever followed. Where
// reference unpackers follow a link in a path, this refuses the layer.
class ImageTree {
 public:
  // `maxEntries` bounds the members of all layers together.
  explicit ImageTree(uint64_t maxEntries, uint64_t maxMemory = kMostMemory);

  // Some two thirds of what the service manager grants the worker.
  static constexpr uint64_t kMostMemory = 320u << 20;

  // Layers come oldest first. `subject` names the layer in errors.
  void beginLayer(kj::StringPtr subject);

  // One member of the present layer, the `member`-th of it from 0. A whiteout removes what lower
  // layers put there, whatever the order inside its own layer. Fails with `invalid`, `exhausted`.
  void apply(TarEntry entry, uint64_t member);

  // Drops what is not for the zone, counts links, and lists the contents that are still wanted.
  void finish();

  ImageNode& root() { return top; }

  // For those who keep entries until they are applied.
  TreeMemory& memory() { return budget; }

  // Inodes, the root included. Valid after finish().
  uint64_t inodes() const { return inodeCount; }

  // The file whose bytes are that member's, if it is in the image and they are not written yet.
  // Valid after finish().
  kj::Maybe<ImageInode&> contentOf(uint layer, uint64_t member);

  // That member's bytes, if they are in the image at all, need no writing any more. Valid after
  // finish().
  void contentIsWritten(uint layer, uint64_t member);

  // Whether bytes of any file still have to be read from that layer. Valid after finish().
  bool needsLayer(uint layer) const;

  // The node at a path in normal form; none where it or a parent is missing. Links are not
  // followed.
  kj::Maybe<ImageNode&> find(kj::StringPtr path);

 private:
  ImageNode top;
  uint layer = 0;
  bool began = false;
  kj::String subject;
  uint64_t entriesLeft;
  TreeMemory budget;
  uint64_t maxEntries;
  uint64_t inodeCount = 0;
  kj::Vector<kj::HashMap<uint64_t, ImageInode*>> contents;

  ImageNode& directoryFor(kj::StringPtr path, kj::StringPtr entry);
  void apply(const Whiteout& mark, ImageNode& parent, kj::StringPtr entry);
  void removeLower(ImageNode& node);
  void put(ImageNode& parent, kj::StringPtr name, TarEntry entry, uint64_t member);
  void count(ImageNode& node);
  [[noreturn]] void reject(kj::StringPtr path, kj::StringPtr why);
};

}  // namespace bulkhead
