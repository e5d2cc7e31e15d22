// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/function.h>
#include <kj/io.h>
#include <kj/string.h>
#include <kj/vector.h>

#include "imaged/digest.h"

namespace bulkhead {

// A directory in the making, invisible until StoreDirectory::publish names it. Dropping it removes
// what is in it.
class Staging {
 public:
  Staging(int parent, kj::String name, kj::AutoCloseFd directory)
      : parent(parent), name(kj::mv(name)), directory(kj::mv(directory)) {}
  ~Staging() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(Staging);

  // A new file for reading and writing.
  kj::AutoCloseFd create(kj::StringPtr file);

 private:
  friend class StoreDirectory;
  int parent;
  kj::String name;
  kj::AutoCloseFd directory;
  bool published = false;
};

// The store on disk:
//
//   images/DIGEST/     one packed image: record, and root.squashfs or system.cpio or the parts of
//                      a kernel; complete and durable from the moment it has its name
//   references/NAME    what a reference means; the file's name is the reference's SHA-256
//   tmp/               whatever is under way; emptied at the start
//
// Every change is written, synced and then renamed, and the rename is synced. One process at a time
// (flock). Errors: `exhausted` for a full disk, `corrupt`, otherwise the kernel's own.
class StoreDirectory {
 public:
  // Makes what is missing and clears tmp/. Throws if another process has the store.
  explicit StoreDirectory(kj::AutoCloseFd directory);

  // A file without a name, for a blob that is needed for a while.
  kj::AutoCloseFd createUnnamed();

  kj::Own<Staging> stage();

  // Syncs the files in it and gives the image its name. Throws if it is there already.
  void publishImage(Staging& staging, kj::StringPtr image);

  // Removes an image that nobody can find any more; returns the bytes freed. Open descriptors stay
  // good.
  uint64_t removeImage(kj::StringPtr image);

  kj::AutoCloseFd openImageFile(kj::StringPtr image, kj::StringPtr file);

  // The names in a folder: "images", "references".
  kj::Vector<kj::String> list(kj::StringPtr folder);

  // A whole small file.
  kj::Array<kj::byte> read(kj::StringPtr folder, kj::StringPtr name);

  // Writes or replaces a small file, durably.
  void write(kj::StringPtr folder, kj::StringPtr name, kj::ArrayPtr<const kj::byte> bytes);

  uint64_t remove(kj::StringPtr folder, kj::StringPtr name);

 private:
  kj::AutoCloseFd root;
  kj::AutoCloseFd images;
  kj::AutoCloseFd references;
  kj::AutoCloseFd temporary;
  uint64_t serial = 0;

  int folderFd(kj::StringPtr folder) const;
  kj::String temporaryName(kj::StringPtr kind);
};

// All bytes of a file, at most `most`.
kj::Array<kj::byte> readWholeFile(int fd, size_t most, kj::StringPtr what);

}  // namespace bulkhead
