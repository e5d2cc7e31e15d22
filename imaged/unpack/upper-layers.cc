// SPDX-License-Identifier: Apache-2.0
#include "imaged/unpack/upper-layers.h"

#include "imaged/unpack/whiteout.h"

namespace bulkhead {

void UpperLayers::add(const TarEntry& entry) {
  if (entry.path.size() == 0) return;
  auto place = splitPath(entry.path);
  KJ_IF_MAYBE (mark, whiteoutOf(place.name)) {
    if (mark->kind == Whiteout::Kind::opaque) {
      pending.add(Pending{&Names::opaque, kj::mv(place.parent)});
    } else if (mark->kind == Whiteout::Kind::one) {
      pending.add(Pending{&Names::covering, joinPath(place.parent, mark->hidden)});
    }
    return;
  }
  bool directory = entry.type == TarEntry::Type::directory;
  pending.add(Pending{directory ? &Names::named : &Names::covering, kj::str(entry.path)});
}

void UpperLayers::endLayer() {
  for (auto& each : pending) {
    (above.*each.set).upsert(kj::mv(each.path), [](kj::String&, kj::String&&) {});
  }
  pending.clear();
}

uint64_t UpperLayers::sizeOf(const TarEntry& entry) {
  // The name in a list, then in a set, and what the allocator adds.
  return entry.path.size() + 96;
}

bool UpperLayers::hide(kj::StringPtr path) const {
  if (above.named.size() + above.covering.size() + above.opaque.size() == 0) return false;
  if (above.named.contains(path) || above.covering.contains(path)) return true;
  if (above.opaque.contains(""_kj)) return true;
  for (size_t i = path.size(); i-- > 0;) {
    if (path[i] != '/') continue;
    auto parent = kj::str(path.slice(0, i));
    if (above.covering.contains(parent) || above.opaque.contains(parent)) return true;
  }
  return false;
}

}  // namespace bulkhead
