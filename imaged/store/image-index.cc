// SPDX-License-Identifier: Apache-2.0
#include "imaged/store/image-index.h"

#include <string.h>
#include <time.h>

#include <capnp/serialize.h>
#include <kj/debug.h>

#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

// The store wrote the record itself, and it is read for as long as imaged runs.
capnp::ReaderOptions trusted() {
  capnp::ReaderOptions options;
  options.traversalLimitInWords = ~uint64_t{0};
  return options;
}

kj::Array<capnp::word> wordsOf(kj::ArrayPtr<const kj::byte> bytes) {
  KJ_REQUIRE(bytes.size() % sizeof(capnp::word) == 0, "the record is cut off");
  auto words = kj::heapArray<capnp::word>(bytes.size() / sizeof(capnp::word));
  memcpy(words.begin(), bytes.begin(), bytes.size());
  return words;
}

kj::String fileOf(kj::StringPtr reference) { return Digest::of(reference.asBytes()).hex(); }

}  // namespace

StoredImage::StoredImage(kj::String name, kj::Array<capnp::word> wordsParam)
    : folder(kj::mv(name)),
      words(kj::mv(wordsParam)),
      reader(words, trusted()),
      root(reader.getRoot<record::ImageRecord>()) {
  auto digest = Digest::parse(resolved().getManifestDigest(), folder);
  KJ_REQUIRE(digest.hex() == folder, "the record is another image's");
  KJ_REQUIRE(Digest::of(resolved().getManifest()) == digest, "the record is damaged");
}

ImageIndex::ImageIndex(StoreDirectory& directory, Log& log) : directory(directory) {
  for (auto& name : directory.list("images")) {
    try {
      auto bytes = readWholeFile(directory.openImageFile(name, "record"), 64u << 20, name);
      images.insert(kj::str(name), kj::refcounted<StoredImage>(kj::str(name), wordsOf(bytes)));
    } catch (...) {
      log.error(
          "an image's record is damaged, ignoring",
          {field("IMAGE", name), field("ERROR", kj::getCaughtExceptionAsKj().getDescription())});
    }
  }
  for (auto& name : directory.list("references")) {
    try {
      auto words = wordsOf(directory.read("references", name));
      capnp::FlatArrayMessageReader reader(words);
      auto entry = reader.getRoot<record::ReferenceRecord>();
      auto image = Digest::parse(entry.getManifestDigest(), entry.getName()).hex();
      KJ_REQUIRE(images.find(image) != nullptr, "the image it names is not here");
      references.insert(kj::str(entry.getName()),
                        Entry{kj::mv(image), entry.getPulledUnixSeconds()});
    } catch (...) {
      log.error(
          "a reference's record is damaged, ignoring",
          {field("FILE", name), field("ERROR", kj::getCaughtExceptionAsKj().getDescription())});
    }
  }
}

// The stored name that a reference means: itself, or one that leads to the digest it asks for.
kj::Maybe<kj::String> ImageIndex::nameOf(const Reference& reference) {
  auto canonical = reference.canonical();
  if (references.find(canonical) != nullptr) return kj::mv(canonical);
  KJ_IF_MAYBE (digest, reference.digest) {
    for (const auto& entry : references) {
      if (entry.value.image != digest->hex()) continue;
      auto stored = Reference::parse(entry.key, "");
      if (stored.registry == reference.registry && stored.repository == reference.repository &&
          (reference.tag.size() == 0 || stored.tag == reference.tag)) {
        return kj::str(entry.key);
      }
    }
  }
  return nullptr;
}

kj::Maybe<ImageIndex::Named> ImageIndex::find(const Reference& reference) {
  KJ_IF_MAYBE (name, nameOf(reference)) {
    const auto& entry = KJ_ASSERT_NONNULL(references.find(*name));
    return Named{kj::str(*name), entry.pulledUnixSeconds,
                 kj::addRef(*KJ_ASSERT_NONNULL(images.find(entry.image)))};
  }
  return nullptr;
}

kj::Maybe<kj::Own<StoredImage>> ImageIndex::findImage(kj::StringPtr name) {
  KJ_IF_MAYBE (image, images.find(name)) {
    return kj::addRef(**image);
  }
  return nullptr;
}

kj::Vector<ImageIndex::Named> ImageIndex::list() {
  kj::Vector<Named> result;
  for (const auto& entry : references) {
    result.add(Named{kj::str(entry.key), entry.value.pulledUnixSeconds,
                     kj::addRef(*KJ_ASSERT_NONNULL(images.find(entry.value.image)))});
  }
  return result;
}

kj::Own<StoredImage> ImageIndex::publish(Staging& staging, kj::StringPtr name,
                                         capnp::MessageBuilder& record) {
  KJ_IF_MAYBE (image, findImage(name)) {
    return kj::mv(*image);
  }
  auto words = capnp::messageToFlatArray(record);
  auto image = kj::refcounted<StoredImage>(kj::str(name), kj::mv(words));
  {
    kj::FdOutputStream out(staging.create("record"));
    capnp::writeMessage(out, record);
  }
  // A damaged image of this name may lie there, unlisted.
  for (const auto& present : directory.list("images")) {
    if (present == name) directory.removeImage(name);
  }
  directory.publishImage(staging, name);
  images.insert(kj::str(name), kj::addRef(*image));
  return image;
}

void ImageIndex::setReference(const Reference& reference, const StoredImage& image) {
  auto name = reference.canonical();
  int64_t now = time(nullptr);
  capnp::MallocMessageBuilder message;
  auto record = message.initRoot<record::ReferenceRecord>();
  record.setName(name);
  record.setManifestDigest(image.resolved().getManifestDigest());
  record.setPulledUnixSeconds(now);
  auto words = capnp::messageToFlatArray(message);
  directory.write("references", fileOf(name), words.asBytes());
  references.upsert(kj::mv(name), Entry{kj::str(image.name()), now});
}

bool ImageIndex::isReferenced(kj::StringPtr image) const {
  for (const auto& entry : references) {
    if (entry.value.image == image) return true;
  }
  return false;
}

void ImageIndex::removeReference(const Reference& reference) {
  kj::String name;
  KJ_IF_MAYBE (found, nameOf(reference)) {
    name = kj::mv(*found);
  } else {
    fail(FailureCode::NOT_FOUND, reference.canonical(), "there is no such image here");
  }
  auto image = kj::str(KJ_ASSERT_NONNULL(references.find(name)).image);
  directory.remove("references", fileOf(name));
  references.erase(name);
  if (!isReferenced(image)) removeImage(image);
}

uint64_t ImageIndex::removeImage(kj::StringPtr image) {
  images.erase(image);
  return directory.removeImage(image);
}

uint64_t ImageIndex::prune(kj::FunctionParam<bool(kj::StringPtr name)> isUsed) {
  uint64_t freed = 0;
  for (const auto& name : directory.list("images")) {
    if (!isReferenced(name) && !isUsed(name)) freed += removeImage(name);
  }
  return freed;
}

}  // namespace bulkhead
