// SPDX-License-Identifier: Apache-2.0
#include "imaged/unpack/unpack-worker.h"

#include <kj/debug.h>

#include "imaged/documents.h"
#include "imaged/unpack/file-worker.h"
#include "imaged/unpack/layer-stream.h"
#include "imaged/unpack/tree-writer.h"
#include "services/runtime/failure.h"
#include "services/runtime/files.h"

namespace bulkhead {
namespace {

// Uncompressed bytes between two looks at the event loop: some milliseconds.
constexpr uint64_t kStride = 4u << 20;

// Lets the event loop look for input once.
class Breather {
 public:
  explicit Breather(kj::Timer& timer) : timer(timer) {}

  bool due(uint64_t bytes) {
    since += bytes;
    return since >= kStride;
  }
  kj::Promise<void> pause() {
    since = 0;
    // A timer that is due at once makes the loop poll; merely yielding would not.
    return timer.afterDelay(0 * kj::NANOSECONDS);
  }

 private:
  kj::Timer& timer;
  uint64_t since = 0;
};

// A header's share of the work.
constexpr uint64_t kEntryCost = 1024;

}  // namespace

kj::Promise<PackOutcome> packLayers(kj::Timer& timer, kj::ArrayPtr<PackLayer> layers,
                                    TreeWriter& writer, uint64_t maxBytes, uint64_t maxEntries,
                                    Progress& progress) {
  Breather breather(timer);
  ImageTree tree(maxEntries);
  uint64_t total = 0;
  for (const auto& input : layers) total += 2 * input.layer.getSize();
  uint64_t before = 0;

  ByteBudget firstBudget{maxBytes, maxBytes};
  for (uint i = 0; i < layers.size(); ++i) {
    LayerStream stream(layers[i].blob, layers[i].layer, i + 1, firstBudget);
    TarReader reader(stream, stream.subject());
    tree.beginLayer(stream.subject());
    for (;;) {
      auto next = reader.next();
      KJ_IF_MAYBE (entry, next) {
        tree.apply(kj::mv(*entry), reader.count() - 1);
      } else {
        break;
      }
      uint64_t step = kEntryCost;
      for (;;) {
        if (breather.due(step)) {
          progress.report("pack", stream.subject(), before + stream.progress(), total);
          co_await breather.pause();
        }
        step = reader.content().size();
        if (step == 0) break;
      }
    }
    stream.verify();
    before += layers[i].layer.getSize();
  }

  tree.finish();
  writer.begin(tree);
  ByteBudget secondBudget{maxBytes, maxBytes};
  for (uint i = 0; i < layers.size(); ++i) {
    if (tree.needsLayer(i)) {
      LayerStream stream(layers[i].blob, layers[i].layer, i + 1, secondBudget);
      TarReader reader(stream, stream.subject());
      for (;;) {
        auto next = reader.next();
        if (next == nullptr) break;
        uint64_t left = KJ_ASSERT_NONNULL(next).size;
        auto inode = tree.contentOf(i, reader.count() - 1);
        KJ_IF_MAYBE (file, inode) {
          // The blob could be another one by now; the digest would tell at the end only.
          if (file->size != left) {
            fail(FailureCode::DIGEST_MISMATCH, stream.subject(), "the blob changed while in use");
          }
          writer.beginFile(*file);
        }
        uint64_t step = kEntryCost;
        for (;;) {
          if (breather.due(step)) {
            progress.report("pack", stream.subject(), before + stream.progress(), total);
            co_await breather.pause();
          }
          auto bytes = reader.content();
          step = bytes.size();
          if (step == 0) break;
          if (inode != nullptr) writer.append(bytes);
        }
        if (inode != nullptr) writer.endFile();
      }
      stream.verify();
    }
    before += layers[i].layer.getSize();
  }
  uint64_t bytes = writer.finish();
  progress.report("pack", "", total, total);
  co_return PackOutcome{bytes, tree.inodes(), kj::String()};
}

kj::Promise<void> UnpackWorkerImpl::inspect(InspectContext context) {
  auto params = context.getParams();
  constexpr kj::StringPtr subject = "image layout"_kj;
  auto wanted = PlatformName::resolve(params.getPlatform());
  auto document = parseDocument(params.getManifest(), "", subject);
  if (!document.is<Manifest>()) fail(FailureCode::INVALID, subject, "this is no manifest");
  auto config = parseImageConfig(params.getConfig(), subject);
  writeResult(params.getManifest(), document.get<Manifest>(), params.getConfig(), config, wanted,
              subject, context.getResults().initResult());
  return kj::READY_NOW;
}

kj::Promise<void> UnpackWorkerImpl::inspectIndex(InspectIndexContext context) {
  auto params = context.getParams();
  constexpr kj::StringPtr subject = "image layout"_kj;
  auto wanted = PlatformName::resolve(params.getPlatform());
  auto document = parseDocument(params.getIndex(), "", subject);
  auto results = context.getResults();
  const auto& next =
      document.is<Manifest>()
          ? document.get<Manifest>().config
          : selectEntry(document.get<Index>(), params.getTag(), wanted, subject).descriptor;
  results.setDigest(next.digest.toString());
  results.setSize(next.size);
  results.setMediaType(next.mediaType);
  return kj::READY_NOW;
}

kj::Promise<void> UnpackWorkerImpl::files(FilesContext context) {
  context.getResults().setWorker(schema::FileWorker::Client(kj::heap<FileWorkerImpl>(timer)));
  return kj::READY_NOW;
}

kj::Promise<void> UnpackWorkerImpl::pack(PackContext context) {
  auto params = context.getParams();
  kj::Vector<PackLayer> layers;
  for (auto input : params.getLayers()) {
    layers.add(PackLayer{co_await takeFd(input.getBlob(), "layer"), input.getLayer()});
  }
  kj::Maybe<schema::ProgressSink::Client> sink;
  if (params.hasProgress()) sink = params.getProgress();
  Progress progress(timer, kj::mv(sink));
  auto limits = params.getLimits();
  auto outputs = params.getOutputs();

  kj::Vector<kj::AutoCloseFd> fds;
  kj::Own<TreeWriter> writer;
  KernelWriter* kernel = nullptr;
  switch (outputs.which()) {
    case schema::PackOutputs::SQUASHFS:
      fds.add(co_await takeFd(outputs.getSquashfs(), "squashfs"));
      writer = makeSquashfsWriter(fds[0]);
      break;
    case schema::PackOutputs::CPIO:
      fds.add(co_await takeFd(outputs.getCpio(), "cpio"));
      writer = makeCpioWriter(fds[0]);
      break;
    case schema::PackOutputs::KERNEL: {
      auto parts = outputs.getKernel();
      fds.add(co_await takeFd(parts.getImage(), "kernel"));
      fds.add(co_await takeFd(parts.getAddons(), "addons"));
      fds.add(co_await takeFd(parts.getBootArchive(), "boot archive"));
      fds.add(co_await takeFd(parts.getMetadata(), "metadata"));
      auto own = makeKernelWriter({fds[0], fds[1], fds[2], fds[3]});
      kernel = own.get();
      writer = kj::mv(own);
      break;
    }
    default:
      fail(FailureCode::UNSUPPORTED, "pack", "this build does not know that output");
  }
  auto outcome = co_await packLayers(timer, layers, *writer, limits.getMaxBytes(),
                                     limits.getMaxEntries(), progress);
  auto result = context.getResults().initResult();
  result.setBytes(outcome.bytes);
  result.setEntries(outcome.entries);
  if (kernel != nullptr) result.setKernelVersion(kernel->kernelVersion());
}

}  // namespace bulkhead
