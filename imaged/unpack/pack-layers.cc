// SPDX-License-Identifier: Apache-2.0
#include "imaged/unpack/pack-layers.h"

#include <kj/debug.h>

#include "imaged/unpack/layer-stream.h"
#include "imaged/unpack/upper-layers.h"
#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

// Uncompressed bytes between two words to the observer: some milliseconds.
constexpr uint64_t kStride = 4u << 20;
// A header's share of the work.
constexpr uint64_t kEntryCost = 1024;

class Packing {
 public:
  Packing(kj::ArrayPtr<PackLayer> layers, TreeWriter& writer, PackBounds bounds,
          PackObserver& observer)
      : layers(layers),
        writer(writer),
        bounds(bounds),
        observer(observer),
        tree(bounds.entries),
        recorded(layers.size()),
        written(layers.size()) {
    for (const auto& input : layers) total += input.layer.getSize();
    for (size_t i = 0; i < layers.size(); ++i) {
      recorded.add();
      written.add();
    }
  }

  PackOutcome run() {
    readLayers();
    for (uint i = 1; i < layers.size(); ++i) replay(i);
    tree.finish();
    for (uint i = 0; i < layers.size(); ++i) {
      for (uint64_t member : written[i]) tree.contentIsWritten(i, member);
      written[i].clear();
    }
    writer.begin(tree);
    readAgain();
    return {writer.finish(), tree.inodes()};
  }

 private:
  kj::ArrayPtr<PackLayer> layers;
  TreeWriter& writer;
  PackBounds bounds;
  PackObserver& observer;
  ImageTree tree;
  UpperLayers above;
  kj::Vector<kj::Vector<TarEntry>> recorded;  // of every layer but the lowest, until replayed
  kj::Vector<kj::HashSet<uint64_t>> written;  // members whose content the writer has
  uint64_t total = 0;
  uint64_t before = 0;  // bytes of blobs done with
  uint64_t sinceReport = 0;

  BlobFile fileOf(uint number) {
    auto& input = layers[number];
    int arrival = -1;
    KJ_IF_MAYBE (pipe, input.arrival) arrival = *pipe;
    return {input.blob, arrival};
  }

  void worked(uint64_t bytes, LayerStream& stream) {
    sinceReport += bytes;
    if (sinceReport < kStride) return;
    sinceReport = 0;
    observer.packing(stream.subject(), before + stream.progress(), total);
  }

  // Hands the present member's content over, to nobody where `wanted` is false.
  void takeContent(TarReader& reader, LayerStream& stream, kj::Maybe<TreeWriter&> to) {
    worked(kEntryCost, stream);
    for (;;) {
      auto bytes = reader.content();
      if (bytes.size() == 0) return;
      KJ_IF_MAYBE (w, to) w->append(bytes);
      worked(bytes.size(), stream);
    }
  }

  void readLayers() {
    ByteBudget budget{bounds.bytes, bounds.bytes};
    uint64_t entriesLeft = bounds.entries;
    uint64_t contentLeft =
        bounds.bytes;  // zeros of sparse files count: someone has to look at them
    for (uint i = static_cast<uint>(layers.size()); i-- > 0;) {
      LayerStream stream(fileOf(i), layers[i].layer, i + 1, budget);
      TarReader reader(stream, stream.subject());
      if (i == 0) tree.beginLayer(stream.subject());
      for (;;) {
        auto next = reader.next();
        if (next == nullptr) break;
        auto& entry = KJ_ASSERT_NONNULL(next);
        if (entriesLeft-- == 0) {
          fail(FailureCode::EXHAUSTED, stream.subject(),
               kj::str("the layers have more than ", bounds.entries, " entries"));
        }
        if (entry.size > contentLeft) {
          fail(FailureCode::EXHAUSTED, stream.subject(),
               kj::str(printable(entry.path, 256), ": the files hold more than ", bounds.bytes,
                       " bytes"),
               "raise max-image-bytes if the image is really that large");
        }
        contentLeft -= entry.size;
        uint64_t member = reader.count() - 1;
        bool now = writer.takesContent() == TreeWriter::Content::beforeTree && entry.size > 0 &&
                   entry.type == TarEntry::Type::file && !above.hide(entry.path);
        if (i > 0) above.add(entry);
        if (i == 0) {
          tree.apply(kj::mv(entry), member);
        } else {
          tree.memory().take(TreeMemory::sizeOf(entry) + UpperLayers::sizeOf(entry),
                             stream.subject());
          recorded[i].add(kj::mv(entry));
        }
        if (now) {
          writer.beginContent({i, member});
          takeContent(reader, stream, writer);
          writer.endContent();
          written[i].insert(member);
        } else {
          takeContent(reader, stream, nullptr);
        }
      }
      stream.verify();
      above.endLayer();
      before += layers[i].layer.getSize();
    }
  }

  void replay(uint number) {
    tree.beginLayer(LayerStream::nameOf(layers[number].layer, number + 1));
    uint64_t member = 0;
    for (auto& entry : recorded[number]) {
      tree.memory().give(TreeMemory::sizeOf(entry));
      tree.apply(kj::mv(entry), member++);
    }
    recorded[number] = kj::Vector<TarEntry>();
  }

  void readAgain() {
    for (uint i = 0; i < layers.size(); ++i) {
      if (tree.needsLayer(i)) total += layers[i].layer.getSize();
    }
    ByteBudget budget{bounds.bytes, bounds.bytes};
    for (uint i = 0; i < layers.size(); ++i) {
      if (!tree.needsLayer(i)) continue;
      LayerStream stream(fileOf(i), layers[i].layer, i + 1, budget);
      TarReader reader(stream, stream.subject());
      for (;;) {
        auto next = reader.next();
        if (next == nullptr) break;
        auto inode = tree.contentOf(i, reader.count() - 1);
        KJ_IF_MAYBE (file, inode) {
          // The blob could be another one by now; the digest would tell at the end only.
          if (file->size != KJ_ASSERT_NONNULL(next).size) {
            fail(FailureCode::DIGEST_MISMATCH, stream.subject(), "the blob changed while in use");
          }
          writer.beginFile(*file);
          takeContent(reader, stream, writer);
          writer.endFile();
        } else {
          takeContent(reader, stream, nullptr);
        }
      }
      stream.verify();
      before += layers[i].layer.getSize();
    }
  }
};

}  // namespace

PackOutcome packLayers(kj::ArrayPtr<PackLayer> layers, TreeWriter& writer, PackBounds bounds,
                       PackObserver& observer) {
  return Packing(layers, writer, bounds, observer).run();
}

}  // namespace bulkhead
