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

// An image's layers, each once: the empty layer is in many images, and many times.
kj::Vector<kj::String> blobNames(const StoredImage& image) {
  kj::Vector<kj::String> result;
  kj::HashSet<kj::String> seen;
  for (auto layer : image.resolved().getLayers()) {
    auto name = Digest::parse(layer.getDigest(), image.name()).hex();
    if (seen.contains(name)) continue;
    seen.insert(kj::str(name));
    result.add(kj::mv(name));
  }
  return result;
}

}  // namespace

StoredImage::StoredImage(kj::String name, kj::Array<capnp::word> wordsParam)
    : folder(kj::mv(name)),
      words(kj::mv(wordsParam)),
      reader(words, trusted()),
      root(reader.getRoot<record::ImageRecord>()) {
  auto digest = Digest::parse(resolved().getManifestDigest(), folder);
  KJ_REQUIRE(digest.hex() == folder, "the record is another image's");
  KJ_REQUIRE(digest.names(resolved().getManifest()), "the record is damaged");
}

ImageIndex::ImageIndex(StoreDirectory& directory, Log& log) : directory(directory), log(log) {
  loadImages();
  loadReferences();
  loadBlobs();
}

void ImageIndex::loadImages() {
  for (auto& name : directory.list("images")) {
    try {
      auto bytes = directory.readRecord(name);
      auto stored = kj::refcounted<StoredImage>(kj::str(name), wordsOf(bytes));
      images.insert(kj::str(name),
                    Image{kj::mv(stored), directory.imageBytes(name), directory.lastUse(name)});
    } catch (...) {
      log.error(
          "an image's record is damaged, ignoring",
          {field("IMAGE", name), field("ERROR", kj::getCaughtExceptionAsKj().getDescription())});
      unreadableImages.add(kj::mv(name));
    }
  }
}

void ImageIndex::loadReferences() {
  for (auto& name : directory.list("references")) {
    try {
      auto words = wordsOf(directory.read("references", name));
      capnp::FlatArrayMessageReader reader(words);
      auto entry = reader.getRoot<record::ReferenceRecord>();
      auto image = Digest::parse(entry.getManifestDigest(), entry.getName()).hex();
      KJ_REQUIRE(images.find(image) != nullptr, "the image it names is not here");
      KJ_REQUIRE(fileOf(entry.getName()) == name, "the record is another reference's");
      references.insert(kj::str(entry.getName()),
                        Entry{kj::mv(image), entry.getPulledUnixSeconds(), entry.getOrigin()});
    } catch (...) {
      log.error(
          "a reference's record is damaged, ignoring",
          {field("FILE", name), field("ERROR", kj::getCaughtExceptionAsKj().getDescription())});
      unreadableReferences.add(kj::mv(name));
    }
  }
}

void ImageIndex::loadBlobs() {
  for (auto& name : directory.list("blobs")) {
    uint64_t bytes = directory.blobBytes(name);
    blobs.insert(kj::mv(name), Blob{bytes});
  }
  for (const auto& image : images) {
    for (const auto& name : blobNames(*image.value.stored)) {
      KJ_IF_MAYBE (blob, blobs.find(name)) {
        ++blob->images;
      }
    }
  }
  kj::Vector<kj::String> leftOver;
  for (const auto& blob : blobs) {
    if (blob.value.images == 0) leftOver.add(kj::str(blob.key));
  }
  directory.removeBlobs(leftOver);
  for (const auto& name : leftOver) blobs.erase(name);
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
                 kj::addRef(*KJ_ASSERT_NONNULL(images.find(entry.image)).stored)};
  }
  return nullptr;
}

kj::Maybe<kj::Own<StoredImage>> ImageIndex::findImage(kj::StringPtr name) {
  KJ_IF_MAYBE (image, images.find(name)) {
    return kj::addRef(*image->stored);
  }
  return nullptr;
}

kj::Vector<ImageIndex::Named> ImageIndex::list() {
  kj::Vector<Named> result;
  for (const auto& entry : references) {
    result.add(Named{kj::str(entry.key), entry.value.pulledUnixSeconds,
                     kj::addRef(*KJ_ASSERT_NONNULL(images.find(entry.value.image)).stored)});
  }
  return result;
}

kj::Vector<kj::String> ImageIndex::imageNames() const {
  kj::Vector<kj::String> names;
  for (const auto& image : images) names.add(kj::str(image.key));
  return names;
}

kj::Own<StoredImage> ImageIndex::publish(Staging& staging, kj::StringPtr name,
                                         capnp::MessageBuilder& record,
                                         kj::ArrayPtr<StagedBlob> staged) {
  KJ_IF_MAYBE (image, images.find(name)) {
    if (!image->damaged) return kj::addRef(*image->stored);
  }
  auto stored = kj::refcounted<StoredImage>(kj::str(name), capnp::messageToFlatArray(record));
  {
    kj::FdOutputStream out(staging.create(kRecordFile));
    capnp::writeMessage(out, record);
  }
  directory.publishBlobs(staged);
  directory.publishImage(staging, name);

  KJ_IF_MAYBE (image, images.find(name)) {
    image->stored = kj::addRef(*stored);
    image->packedBytes = directory.imageBytes(name);
    image->damaged = false;
  } else {
    images.insert(kj::str(name),
                  Image{kj::addRef(*stored), directory.imageBytes(name), directory.lastUse(name)});
    for (auto& each : blobNames(*stored)) {
      KJ_IF_MAYBE (blob, blobs.find(each)) {
        ++blob->images;
      } else {
        // It is one of the staged ones, or its file is gone.
        blobs.insert(kj::mv(each), Blob{0, 1, 0, true});
      }
    }
  }
  for (auto& each : staged) {
    auto& blob = KJ_ASSERT_NONNULL(blobs.find(each.name), "a layer that is none of the image's");
    blob.bytes = directory.blobBytes(each.name);
    blob.damaged = false;
  }
  return stored;
}

void ImageIndex::setVerdict(kj::StringPtr name, schema::SignatureVerdict::Reader verdict) {
  auto& image = KJ_ASSERT_NONNULL(images.find(name), "there is no such image");
  capnp::MallocMessageBuilder message;
  message.setRoot(image.stored->record());
  message.getRoot<record::ImageRecord>().getResolved().setSignature(verdict);
  auto words = capnp::messageToFlatArray(message);
  directory.writeRecord(name, words.asBytes());
  image.stored = kj::refcounted<StoredImage>(kj::str(name), kj::mv(words));
}

void ImageIndex::setReference(const Reference& reference, const StoredImage& image,
                              ReferenceOrigin origin) {
  auto name = reference.canonical();
  int64_t now = time(nullptr);
  capnp::MallocMessageBuilder message;
  auto record = message.initRoot<record::ReferenceRecord>();
  record.setName(name);
  record.setManifestDigest(image.resolved().getManifestDigest());
  record.setPulledUnixSeconds(now);
  record.setOrigin(origin);
  auto words = capnp::messageToFlatArray(message);
  directory.write("references", fileOf(name), words.asBytes());
  kj::String before;
  KJ_IF_MAYBE (entry, references.find(name)) {
    before = kj::mv(entry->image);
  }
  references.upsert(kj::mv(name), Entry{kj::str(image.name()), now, origin});
  if (before.size() > 0) collectIfUnwanted(before);
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
  collectIfUnwanted(image);
}

kj::Vector<kj::String> ImageIndex::removeImage(kj::StringPtr image) {
  KJ_REQUIRE(holders(image) == 0, "somebody holds the image", image);
  kj::Vector<kj::String> names;
  for (const auto& entry : references) {
    if (entry.value.image == image) names.add(kj::str(entry.key));
  }
  for (const auto& name : names) {
    directory.remove("references", fileOf(name));
    references.erase(name);
  }
  drop(image);
  return names;
}

void ImageIndex::sweep() {
  for (const auto& name : unreadableReferences) directory.remove("references", name);
  unreadableReferences.clear();
  for (const auto& name : unreadableImages) {
    // It may have been published anew.
    if (images.find(name) == nullptr) directory.removeImage(name);
  }
  unreadableImages.clear();
}

void ImageIndex::collectIfUnwanted(kj::StringPtr image) {
  if (holders(image) == 0 && !isReferenced(image)) drop(image);
}

// First the image and then its layers: one without the other must never be seen.
void ImageIndex::drop(kj::StringPtr image) {
  kj::Vector<kj::String> unused;
  KJ_IF_MAYBE (found, images.find(image)) {
    auto stored = kj::mv(found->stored);
    images.erase(image);
    directory.removeImage(stored->name());
    for (auto& name : blobNames(*stored)) {
      KJ_IF_MAYBE (blob, blobs.find(name)) {
        if (--blob->images > 0 || blob->pins > 0) continue;
        blobs.erase(name);
        unused.add(kj::mv(name));
      }
    }
  }
  directory.removeBlobs(unused);
}

void ImageIndex::hold(kj::StringPtr name) {
  auto& image = KJ_ASSERT_NONNULL(images.find(name), "there is no such image");
  ++image.holders;
  image.lastUse = time(nullptr);
  directory.noteUse(name);
}

void ImageIndex::release(kj::StringPtr name) noexcept {
  KJ_IF_MAYBE (image, images.find(name)) {
    --image->holders;
    try {
      image->lastUse = time(nullptr);
      directory.noteUse(name);
    } catch (...) {
      log.error(
          "the use of an image could not be noted, ignoring",
          {field("IMAGE", name), field("ERROR", kj::getCaughtExceptionAsKj().getDescription())});
    }
  }
}

uint ImageIndex::holders(kj::StringPtr name) const {
  KJ_IF_MAYBE (image, images.find(name)) {
    return image->holders;
  }
  return 0;
}

int64_t ImageIndex::lastUse(kj::StringPtr name) const {
  KJ_IF_MAYBE (image, images.find(name)) {
    return image->lastUse;
  }
  return 0;
}

void ImageIndex::markDamaged(kj::StringPtr name) {
  KJ_IF_MAYBE (image, images.find(name)) {
    image->damaged = true;
  }
}

void ImageIndex::markBlobDamaged(const Digest& digest) {
  KJ_IF_MAYBE (blob, blobs.find(digest.hex())) {
    blob->damaged = true;
  }
}

bool ImageIndex::isDamaged(kj::StringPtr name) const {
  KJ_IF_MAYBE (image, images.find(name)) {
    return image->damaged;
  }
  return false;
}

bool ImageIndex::hasBlob(const Digest& digest) const {
  KJ_IF_MAYBE (blob, blobs.find(digest.hex())) {
    return !blob->damaged;
  }
  return false;
}

void ImageIndex::pinBlob(const Digest& digest) {
  ++KJ_ASSERT_NONNULL(blobs.find(digest.hex()), "there is no such layer").pins;
}

void ImageIndex::unpinBlob(const Digest& digest) noexcept {
  auto name = digest.hex();
  KJ_IF_MAYBE (blob, blobs.find(name)) {
    if (--blob->pins > 0 || blob->images > 0) return;
    blobs.erase(name);
    try {
      directory.removeBlobs(kj::arrayPtr(&name, 1));
    } catch (...) {
      log.error(
          "a layer that no image has any more could not be removed, ignoring",
          {field("BLOB", name), field("ERROR", kj::getCaughtExceptionAsKj().getDescription())});
    }
  }
}

ImageIndex::Standing ImageIndex::standing(const Reference& wanted, const Digest& blob) const {
  if (!hasBlob(blob)) return Standing::absent;
  auto text = blob.toString();
  auto best = Standing::stranger;
  for (const auto& entry : references) {
    if (entry.value.origin != ReferenceOrigin::REGISTRY) continue;
    auto known = Reference::parse(entry.key, "");
    if (known.registry != wanted.registry) continue;
    bool has = false;
    for (auto layer :
         KJ_ASSERT_NONNULL(images.find(entry.value.image)).stored->resolved().getLayers()) {
      has = has || layer.getDigest() == text;
    }
    if (!has) continue;
    if (known.repository == wanted.repository) return Standing::sameRepository;
    best = Standing::sameRegistry;
  }
  return best;
}

ImageIndex::Size ImageIndex::sizeOf(kj::StringPtr name) const {
  Size size;
  KJ_IF_MAYBE (image, images.find(name)) {
    size.packed = image->packedBytes;
    for (const auto& each : blobNames(*image->stored)) {
      KJ_IF_MAYBE (blob, blobs.find(each)) {
        size.layers += blob->bytes;
        if (blob->images > 1) size.shared += blob->bytes;
      }
    }
  }
  return size;
}

ImageIndex::Total ImageIndex::total() const {
  Total sum;
  for (const auto& image : images) sum.packed += image.value.packedBytes;
  for (const auto& blob : blobs) sum.layers += blob.value.bytes;
  sum.images = static_cast<uint>(images.size());
  sum.blobs = static_cast<uint>(blobs.size());
  return sum;
}

}  // namespace bulkhead
