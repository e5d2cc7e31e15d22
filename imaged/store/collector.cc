// SPDX-License-Identifier: Apache-2.0
#include "imaged/store/collector.h"

#include <time.h>

#include "services/runtime/failure.h"

namespace bulkhead {

uint64_t Collector::used() const {
  auto total = index.total();
  return total.packed + total.layers;
}

// What stays when everything goes that nobody holds; a layer of several held images counts for each
// of them, so this is rather too much.
uint64_t Collector::heldBytes() const {
  uint64_t bytes = 0;
  for (const auto& name : index.imageNames()) {
    if (index.holders(name) == 0) continue;
    auto size = index.sizeOf(name);
    bytes += size.packed + size.layers;
  }
  return kj::min(bytes, used());
}

kj::Maybe<kj::String> Collector::leastRecentlyUsed() const {
  kj::Maybe<kj::String> oldest;
  bool oldestNamed = false;
  int64_t oldestUse = 0;
  for (auto& name : index.imageNames()) {
    if (index.holders(name) > 0) continue;
    // What no reference names is of no use to anybody.
    bool named = index.isReferenced(name);
    auto use = index.lastUse(name);
    if (oldest == nullptr || named < oldestNamed || (named == oldestNamed && use < oldestUse)) {
      oldestNamed = named;
      oldestUse = use;
      oldest = kj::mv(name);
    }
  }
  return oldest;
}

void Collector::makeRoom(uint64_t bytes, kj::StringPtr subject) {
  if (quota == 0 || used() + bytes <= quota) return;
  auto held = heldBytes();
  if (bytes > quota || held > quota - bytes) {
    fail(FailureCode::EXHAUSTED, subject,
         kj::str("the image needs ", bytes, " bytes; of the store's quota of ", quota,
                 ", images in use take ", held),
         "end zones, or raise quota under [store] in imaged.toml");
  }
  while (used() + bytes > quota) {
    KJ_IF_MAYBE (name, leastRecentlyUsed()) {
      auto references = index.removeImage(*name);
      log.info("removed an image to make room",
               {field("IMAGE", references.size() > 0 ? references[0].asPtr() : name->asPtr()),
                field("MANIFEST", *name)});
    } else {
      return;
    }
  }
}

void Collector::removeForgotten(int64_t seconds) {
  int64_t now = time(nullptr);
  for (const auto& name : index.imageNames()) {
    if (index.holders(name) > 0 || index.isReferenced(name)) continue;
    if (now - index.lastUse(name) >= seconds) index.removeImage(name);
  }
}

Collector::Freed Collector::prune(schema::PruneReach reach) {
  Freed freed{used(), {}};
  index.sweep();
  for (const auto& name : index.imageNames()) {
    if (index.holders(name) > 0) continue;
    if (reach == schema::PruneReach::UNNAMED && index.isReferenced(name)) continue;
    for (auto& reference : index.removeImage(name)) freed.references.add(kj::mv(reference));
  }
  freed.bytes -= used();
  return freed;
}

void Collector::describe(schema::StoreUsage::Builder out) const {
  auto total = index.total();
  out.setQuotaBytes(quota);
  out.setUsedBytes(total.packed + total.layers);
  out.setLayerBytes(total.layers);
  out.setPackedBytes(total.packed);
  out.setReclaimableBytes(total.packed + total.layers - heldBytes());
  out.setImages(total.images);
  out.setLayers(total.blobs);
}

}  // namespace bulkhead
