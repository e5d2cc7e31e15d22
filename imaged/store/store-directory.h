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

// An image's record, beside its packed files.
constexpr kj::StringPtr kRecordFile = "record"_kj;

// A file in the making, invisible until StoreDirectory::publishBlobs names it. Dropping it removes
// it.
class StagedFile {
 public:
  StagedFile(int parent, kj::String name, kj::AutoCloseFd file)
      : parent(parent), name(kj::mv(name)), file(kj::mv(file)) {}
  ~StagedFile() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(StagedFile);

  // For reading and writing. Borrowed.
  int fd() const { return file; }

 private:
  friend class StoreDirectory;
  int parent;
  kj::String name;
  kj::AutoCloseFd file;
  bool published = false;
};

// A directory in the making, invisible until StoreDirectory::publishImage names it. Dropping it
// removes what is in it.
class Staging {
 public:
  Staging(int parent, kj::String name, kj::AutoCloseFd directory)
      : parent(parent), name(kj::mv(name)), directory(kj::mv(directory)) {}
  ~Staging() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(Staging);

  // A new file for reading and writing.
  kj::AutoCloseFd create(kj::StringPtr file);

  // One that was made, for reading.
  kj::AutoCloseFd open(kj::StringPtr file);

  // A file that is not wanted after all.
  void remove(kj::StringPtr file);

 private:
  friend class StoreDirectory;
  int parent;
  kj::String name;
  kj::AutoCloseFd directory;
  bool published = false;
};

// A layer's blob that is to be named, by the digits of its digest.
struct StagedBlob {
  kj::String name;
  kj::Own<StagedFile> file;
};

// The store on disk:
//
//   blobs/DIGEST       one layer as the registry has it, compressed
//   images/DIGEST/     one packed image: record, and root.squashfs or system.cpio or disk.img or
//                      the parts of a kernel; complete and durable from the moment it has its name.
//                      The directory's time of change is when the image was used last.
//   references/NAME    what a reference means; the file's name is the reference's SHA-256
//   tmp/               whatever is under way; emptied at the start
//
// Every change is written, synced and then renamed, and the rename is synced before anything is
// changed that relies on it: blobs before the image that is made of them, the image before the
// references to it; the other way round when something goes. A cut at any moment leaves a store
// whose references lead to whole images. One process at a time (flock). Errors: `exhausted` for a
// full disk, `corrupt`, otherwise the kernel's own.
class StoreDirectory {
 public:
  // Makes what is missing and clears tmp/. Throws if another process has the store.
  explicit StoreDirectory(kj::AutoCloseFd directory);

  kj::Own<StagedFile> stageFile();
  kj::Own<Staging> stage();

  // Syncs the files, gives them their names and makes these durable. A blob that is there already
  // is replaced: the new one was verified just now.
  void publishBlobs(kj::ArrayPtr<StagedBlob> blobs);

  // Syncs the files in it and gives the image its name, in place of one that lies there.
  void publishImage(Staging& staging, kj::StringPtr image);

  kj::Array<kj::byte> readRecord(kj::StringPtr image);

  // Replaces an image's record.
  void writeRecord(kj::StringPtr image, kj::ArrayPtr<const kj::byte> bytes);

  // Removes an image that nobody can find any more. Open descriptors stay good.
  void removeImage(kj::StringPtr image);

  void removeBlobs(kj::ArrayPtr<const kj::String> names);

  kj::AutoCloseFd openImageFile(kj::StringPtr image, kj::StringPtr file);
  kj::AutoCloseFd openBlob(kj::StringPtr name);

  // What it takes on the disk, in bytes: holes do not count.
  uint64_t imageBytes(kj::StringPtr image);
  uint64_t blobBytes(kj::StringPtr name);

  // When the image was used last, in seconds since 1970. Not durable: it only says what goes first.
  int64_t lastUse(kj::StringPtr image);
  void noteUse(kj::StringPtr image);

  // The names in a folder: "blobs", "images", "references".
  kj::Vector<kj::String> list(kj::StringPtr folder);

  // A whole small file.
  kj::Array<kj::byte> read(kj::StringPtr folder, kj::StringPtr name);

  // Writes or replaces a small file, durably.
  void write(kj::StringPtr folder, kj::StringPtr name, kj::ArrayPtr<const kj::byte> bytes);

  // Removes a small file, durably.
  void remove(kj::StringPtr folder, kj::StringPtr name);

 private:
  kj::AutoCloseFd root;
  kj::AutoCloseFd blobs;
  kj::AutoCloseFd images;
  kj::AutoCloseFd references;
  kj::AutoCloseFd temporary;
  uint64_t serial = 0;

  int folderFd(kj::StringPtr folder) const;
  void replace(int folder, kj::StringPtr name, kj::ArrayPtr<const kj::byte> bytes);
  kj::String temporaryName(kj::StringPtr kind);
};

}  // namespace bulkhead
