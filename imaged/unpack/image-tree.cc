// SPDX-License-Identifier: Apache-2.0
#include "imaged/unpack/image-tree.h"

#include <kj/debug.h>

#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

// A name, its inode and what the allocator adds.
constexpr uint64_t kNodeBytes = 480;

// Calls `visit` with each component; stops when it returns false.
template <typename Visit>
void eachComponent(kj::StringPtr path, Visit&& visit) {
  size_t start = 0;
  while (start < path.size()) {
    size_t end = start;
    while (end < path.size() && path[end] != '/') ++end;
    if (!visit(kj::str(path.slice(start, end)))) return;
    start = end + 1;
  }
}

// squashfs has no other name spaces, and overlay attributes would steer the zone's own overlay.
bool isKept(const ExtendedAttribute& attribute) {
  kj::StringPtr name = attribute.name;
  if (name.startsWith("trusted.overlay.") || name.startsWith("user.overlay.")) return false;
  return name.startsWith("user.") || name.startsWith("security.") || name.startsWith("trusted.");
}

}  // namespace

void TreeMemory::take(uint64_t bytes, kj::StringPtr subject) {
  if (bytes > left) {
    fail(FailureCode::EXHAUSTED, subject,
         kj::str("names and attributes of the image take more than ", limit >> 20, " MiB"));
  }
  left -= bytes;
}

uint64_t TreeMemory::sizeOf(const TarEntry& entry) {
  uint64_t size = sizeof(TarEntry) + entry.path.size() + entry.linkTarget.size();
  for (const auto& attribute : entry.attributes) {
    size += sizeof attribute + attribute.name.size() + attribute.value.size();
  }
  return size;
}

ImageTree::ImageTree(uint64_t maxEntries, uint64_t maxMemory)
    : entriesLeft(maxEntries), budget(maxMemory), maxEntries(maxEntries) {
  top.inode = kj::refcounted<ImageInode>();
}

void ImageTree::reject(kj::StringPtr path, kj::StringPtr why) {
  fail(FailureCode::INVALID, subject, kj::str(printable(path, 256), ": ", why));
}

void ImageTree::beginLayer(kj::StringPtr layerSubject) {
  if (began) ++layer;
  began = true;
  subject = kj::str(layerSubject);
}

kj::Maybe<ImageNode&> ImageTree::find(kj::StringPtr path) {
  ImageNode* node = &top;
  eachComponent(path, [&](kj::String name) {
    KJ_IF_MAYBE (child, node->children.find(name)) {
      node = child->get();
      return true;
    }
    node = nullptr;
    return false;
  });
  if (node == nullptr) return nullptr;
  return *node;
}

// The directory at `path`; missing ones are made as if the layer had named them without saying
// more.
ImageNode& ImageTree::directoryFor(kj::StringPtr path, kj::StringPtr entry) {
  ImageNode* node = &top;
  eachComponent(path, [&](kj::String name) {
    KJ_IF_MAYBE (child, node->children.find(name)) {
      node = child->get();
      if (!node->isDirectory()) {
        reject(entry, kj::str("'", printable(name, 64),
                              "' on the way is no directory, and links are not followed"));
      }
      return true;
    }
    if (entriesLeft-- == 0) {
      fail(FailureCode::EXHAUSTED, subject,
           kj::str("the layers have more than ", maxEntries, " entries"));
    }
    budget.take(kNodeBytes + name.size(), subject);
    auto fresh = kj::heap<ImageNode>();
    fresh->inode = kj::refcounted<ImageInode>();
    fresh->layer = layer;
    auto& next = *fresh;
    node->children.insert(kj::mv(name), kj::mv(fresh));
    node = &next;
    return true;
  });
  return *node;
}

void ImageTree::apply(TarEntry entry, uint64_t member) {
  KJ_REQUIRE(began);
  if (entriesLeft == 0) {
    fail(FailureCode::EXHAUSTED, subject,
         kj::str("the layers have more than ", maxEntries, " entries"));
  }
  --entriesLeft;
  budget.take(kNodeBytes + TreeMemory::sizeOf(entry), subject);
  if (entry.path.size() == 0) {
    auto& inode = *top.inode;
    inode.mode = entry.mode;
    inode.user = entry.user;
    inode.group = entry.group;
    inode.modified = entry.modified;
    inode.attributes = kj::mv(entry.attributes);
    return;
  }
  auto place = splitPath(entry.path);
  KJ_IF_MAYBE (mark, whiteoutOf(place.name)) {
    // What is not there needs no removing, and neither does what lies behind a link.
    KJ_IF_MAYBE (parent, find(place.parent)) {
      if (parent->isDirectory()) apply(*mark, *parent, entry.path);
    }
    return;
  }
  put(directoryFor(place.parent, entry.path), place.name, kj::mv(entry), member);
}

void ImageTree::apply(const Whiteout& mark, ImageNode& parent, kj::StringPtr entry) {
  if (mark.kind == Whiteout::Kind::record) return;
  if (mark.kind == Whiteout::Kind::opaque) {
    removeLower(parent);
    return;
  }
  kj::StringPtr hidden = mark.hidden;
  if (hidden.size() == 0 || hidden == "." || hidden == "..") {
    reject(entry, "the whiteout names nothing that could be removed");
  }
  KJ_IF_MAYBE (child, parent.children.find(hidden)) {
    auto& node = **child;
    if (node.isDirectory()) removeLower(node);
    if (node.layer < layer) {
      if (node.children.size() == 0) {
        parent.children.erase(hidden);
      } else {
        // This layer put something below it: a directory that nobody described any more.
        node.inode = kj::refcounted<ImageInode>();
        node.layer = layer;
      }
    }
  }
}

// Removes whatever below `node` no entry of the present layer named.
void ImageTree::removeLower(ImageNode& node) {
  kj::Vector<kj::String> gone;
  for (auto& entry : node.children) {
    auto& child = *entry.value;
    if (child.isDirectory()) removeLower(child);
    if (child.layer < layer) {
      if (child.children.size() == 0) {
        gone.add(kj::str(entry.key));
      } else {
        child.inode = kj::refcounted<ImageInode>();
        child.layer = layer;
      }
    }
  }
  for (const auto& name : gone) node.children.erase(name);
}

void ImageTree::put(ImageNode& parent, kj::StringPtr name, TarEntry entry, uint64_t member) {
  kj::Own<ImageInode> inode;
  if (entry.type == TarEntry::Type::hardLink) {
    KJ_IF_MAYBE (target, find(entry.linkTarget)) {
      if (target->isDirectory()) reject(entry.path, "a hard link to a directory");
      inode = kj::addRef(*target->inode);
    } else {
      reject(entry.path, kj::str("the hard link's target '", printable(entry.linkTarget, 256),
                                 "' is not there"));
    }
  } else {
    inode = kj::refcounted<ImageInode>();
    inode->type = entry.type;
    inode->mode = entry.mode;
    inode->user = entry.user;
    inode->group = entry.group;
    inode->deviceMajor = entry.deviceMajor;
    inode->deviceMinor = entry.deviceMinor;
    inode->modified = entry.modified;
    inode->symlinkTarget = kj::mv(entry.linkTarget);
    for (auto& attribute : entry.attributes) {
      if (isKept(attribute)) inode->attributes.add(kj::mv(attribute));
    }
    inode->size = entry.size;
    inode->layer = layer;
    inode->member = member;
  }
  KJ_IF_MAYBE (existing, parent.children.find(name)) {
    auto& node = **existing;
    // A directory over a directory changes what it says of itself; anything else replaces all.
    if (!node.isDirectory() || inode->type != TarEntry::Type::directory) node.children.clear();
    node.inode = kj::mv(inode);
    node.layer = layer;
    return;
  }
  auto fresh = kj::heap<ImageNode>();
  fresh->inode = kj::mv(inode);
  fresh->layer = layer;
  parent.children.insert(kj::str(name), kj::mv(fresh));
}

void ImageTree::count(ImageNode& node) {
  auto& directory = *node.inode;
  ++inodeCount;
  directory.links = 2;
  for (auto& entry : node.children) {
    auto& inode = *entry.value->inode;
    if (entry.value->isDirectory()) {
      ++directory.links;
      count(*entry.value);
      continue;
    }
    if (inode.links++ > 0) continue;
    ++inodeCount;
    if (inode.type != TarEntry::Type::file || inode.size == 0) continue;
    contents[inode.layer].insert(inode.member, &inode);
  }
}

void ImageTree::finish() {
  contents.resize(layer + 1);
  count(top);
}

kj::Maybe<ImageInode&> ImageTree::contentOf(uint wanted, uint64_t member) {
  KJ_IF_MAYBE (inode, contents[wanted].find(member)) {
    return **inode;
  }
  return nullptr;
}

void ImageTree::contentIsWritten(uint wanted, uint64_t member) { contents[wanted].erase(member); }

bool ImageTree::needsLayer(uint wanted) const { return contents[wanted].size() > 0; }

}  // namespace bulkhead
