// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/map.h>
#include <kj/refcount.h>

#include "imaged/reference.h"
#include "imaged/store/record.capnp.h"
#include "imaged/store/store-directory.h"
#include "services/runtime/log.h"

namespace bulkhead {

// One packed image, as its record says. Holding it does not keep its files: opening them does.
class StoredImage : public kj::Refcounted {
 public:
  // Takes the record's words, which are ours and trusted to be well formed once they have been
  // read through.
  StoredImage(kj::String name, kj::Array<capnp::word> words);

  kj::Own<StoredImage> addRef() { return kj::addRef(*this); }
  record::ImageRecord::Reader record() const { return root; }
  schema::ResolveResult::Reader resolved() const { return root.getResolved(); }

  // The record as it lies on the disk.
  kj::ArrayPtr<const kj::byte> bytes() const { return words.asBytes(); }

  // The folder's name: the manifest digest's digits.
  kj::StringPtr name() const { return folder; }

 private:
  kj::String folder;
  kj::Array<capnp::word> words;
  capnp::FlatArrayMessageReader reader;
  record::ImageRecord::Reader root;
};

// How a reference came by its image.
using ReferenceOrigin = record::ReferenceRecord::Origin;

// Names, images and the layers they are made of, in memory as on disk. An image stays as long as a
// reference names it or somebody holds it; a layer as long as one of its images.
class ImageIndex {
 public:
  // Reads everything, and removes layers no image has: what a pull left that was cut off. What
  // cannot be read is logged and left out; `sweep` removes it.
  ImageIndex(StoreDirectory& directory, Log& log);
  KJ_DISALLOW_COPY_AND_MOVE(ImageIndex);

  struct Named {
    kj::String reference;  // Reference::canonical()
    int64_t pulledUnixSeconds;
    kj::Own<StoredImage> image;
  };

  // By the reference as it was pulled, or by a digest of one that was.
  kj::Maybe<Named> find(const Reference& reference);

  kj::Maybe<kj::Own<StoredImage>> findImage(kj::StringPtr name);
  kj::Vector<Named> list();
  kj::Vector<kj::String> imageNames() const;

  // A staged image and the layers it brings become visible, in place of a damaged one of this name.
  // If an intact one has become visible meanwhile, that one is taken.
  kj::Own<StoredImage> publish(Staging& staging, kj::StringPtr name, capnp::MessageBuilder& record,
                               kj::ArrayPtr<StagedBlob> blobs);

  // Notes what the signature policy said of an image that is here already.
  void setVerdict(kj::StringPtr image, schema::SignatureVerdict::Reader verdict);

  // Points a reference at an image, from now on. The image it pointed at goes when nobody else
  // wants it.
  void setReference(const Reference& reference, const StoredImage& image, ReferenceOrigin origin);

  // Fails with `notFound`. The image goes as well when nobody else wants it.
  void removeReference(const Reference& reference);

  // Removes an image that nobody holds, with every reference to it; returns these.
  kj::Vector<kj::String> removeImage(kj::StringPtr image);

  // Removes what could not be read.
  void sweep();

  bool isReferenced(kj::StringPtr image) const;

  // Somebody uses the image, until as many calls of `release`. An image that no reference names
  // stays for a while even then: whoever held it may have to come back for it, having restarted.
  void hold(kj::StringPtr image);
  void release(kj::StringPtr image) noexcept;
  uint holders(kj::StringPtr image) const;
  int64_t lastUse(kj::StringPtr image) const;

  // Found to be other bytes than those recorded. They count as absent for whoever wants to make
  // images available, until published anew.
  void markDamaged(kj::StringPtr image);
  void markBlobDamaged(const Digest& blob);
  bool isDamaged(kj::StringPtr image) const;

  // Who gave the store a layer, seen from a reference that wants it.
  enum class Standing {
    absent,          // not here, or damaged
    stranger,        // from elsewhere: nothing says that this registry has it
    sameRegistry,    // from another repository of that registry
    sameRepository,  // that repository gave it before
  };
  Standing standing(const Reference& wanted, const Digest& blob) const;
  bool hasBlob(const Digest& blob) const;

  // A layer that an image under way is going to share: it stays although its images go.
  void pinBlob(const Digest& blob);
  void unpinBlob(const Digest& blob) noexcept;

  // Bytes on the disk: an image's packed files; its layers; those of its layers that others have as
  // well.
  struct Size {
    uint64_t packed = 0;
    uint64_t layers = 0;
    uint64_t shared = 0;
  };
  Size sizeOf(kj::StringPtr image) const;

  // Everything, each layer once.
  struct Total {
    uint64_t packed = 0;
    uint64_t layers = 0;
    uint images = 0;
    uint blobs = 0;
  };
  Total total() const;

 private:
  struct Entry {
    kj::String image;
    int64_t pulledUnixSeconds;
    ReferenceOrigin origin;
  };
  struct Image {
    kj::Own<StoredImage> stored;
    uint64_t packedBytes;
    int64_t lastUse;
    uint holders = 0;
    bool damaged = false;
  };
  struct Blob {
    uint64_t bytes;
    uint images = 0;
    uint pins = 0;
    bool damaged = false;
  };

  StoreDirectory& directory;
  Log& log;
  kj::HashMap<kj::String, Image> images;
  kj::HashMap<kj::String, Entry> references;
  kj::HashMap<kj::String, Blob> blobs;
  kj::Vector<kj::String> unreadableImages;
  kj::Vector<kj::String> unreadableReferences;

  void loadImages();
  void loadReferences();
  void loadBlobs();
  kj::Maybe<kj::String> nameOf(const Reference& reference);
  void collectIfUnwanted(kj::StringPtr image);
  void drop(kj::StringPtr image);
};

}  // namespace bulkhead
