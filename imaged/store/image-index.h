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

  // The folder's name: the manifest digest's digits.
  kj::StringPtr name() const { return folder; }

 private:
  kj::String folder;
  kj::Array<capnp::word> words;
  capnp::FlatArrayMessageReader reader;
  record::ImageRecord::Reader root;
};

// Names and images, in memory as on disk.
class ImageIndex {
 public:
  // Reads everything. What cannot be read is logged and left out; `prune` removes it.
  ImageIndex(StoreDirectory& directory, Log& log);

  struct Named {
    kj::String reference;  // Reference::canonical()
    int64_t pulledUnixSeconds;
    kj::Own<StoredImage> image;
  };

  // By the reference as it was pulled, or by a digest of one that was.
  kj::Maybe<Named> find(const Reference& reference);

  kj::Maybe<kj::Own<StoredImage>> findImage(kj::StringPtr name);
  kj::Vector<Named> list();

  // A staged image becomes visible. If it has become so meanwhile, that one is taken.
  kj::Own<StoredImage> publish(Staging& staging, kj::StringPtr name, capnp::MessageBuilder& record);

  // Points a reference at an image, from now on.
  void setReference(const Reference& reference, const StoredImage& image);

  // Fails with `notFound`. The image goes as well when no other reference names it.
  void removeReference(const Reference& reference);

  // Removes every image that no reference names and `isUsed` does not want, and what is damaged.
  uint64_t prune(kj::FunctionParam<bool(kj::StringPtr name)> isUsed);

 private:
  struct Entry {
    kj::String image;
    int64_t pulledUnixSeconds;
  };

  StoreDirectory& directory;
  kj::HashMap<kj::String, kj::Own<StoredImage>> images;
  kj::HashMap<kj::String, Entry> references;

  kj::Maybe<kj::String> nameOf(const Reference& reference);
  bool isReferenced(kj::StringPtr image) const;
  uint64_t removeImage(kj::StringPtr image);
};

}  // namespace bulkhead
