// SPDX-License-Identifier: Apache-2.0
#include "imaged/unpack/unpack-worker.h"

#include <kj/debug.h>
#include <kj/thread.h>

#include "imaged/documents.h"
#include "imaged/unpack/file-worker.h"
#include "imaged/unpack/job-monitor.h"
#include "imaged/unpack/pack-layers.h"
#include "imaged/unpack/verity.h"
#include "services/runtime/failure.h"
#include "services/runtime/files.h"

namespace bulkhead {
namespace {

// Where the results go, as descriptors of our own.
struct Outputs {
  schema::PackOutputs::Which which;
  schema::BlockCompression compression;
  kj::Vector<kj::AutoCloseFd> files;
  kj::Maybe<kj::AutoCloseFd> verity;
};

struct Result {
  PackOutcome outcome{};
  kj::String kernelVersion;
  kj::Maybe<VerityTree> verity;
};

kj::Promise<Outputs> takeOutputs(schema::PackOutputs::Reader from) {
  Outputs result{from.which(), from.getCompression(), {}, nullptr};
  switch (from.which()) {
    case schema::PackOutputs::SQUASHFS:
      result.files.add(co_await takeFd(from.getSquashfs(), "squashfs"));
      break;
    case schema::PackOutputs::CPIO:
      result.files.add(co_await takeFd(from.getCpio(), "cpio"));
      break;
    case schema::PackOutputs::KERNEL: {
      auto parts = from.getKernel();
      result.files.add(co_await takeFd(parts.getImage(), "kernel"));
      result.files.add(co_await takeFd(parts.getAddons(), "addons"));
      result.files.add(co_await takeFd(parts.getBootArchive(), "boot archive"));
      result.files.add(co_await takeFd(parts.getMetadata(), "metadata"));
      break;
    }
    default:
      fail(FailureCode::UNSUPPORTED, "pack", "this build does not know that output");
  }
  if (from.hasVerity()) {
    if (from.which() != schema::PackOutputs::SQUASHFS) {
      fail(FailureCode::INVALID, "pack", "a hash tree is made for a squashfs only");
    }
    result.verity = co_await takeFd(from.getVerity(), "verity");
  }
  co_return result;
}

// The same layers give the same salt, so the same bytes.
Digest saltOf(kj::ArrayPtr<PackLayer> layers) {
  Sha256 sum;
  for (const auto& each : layers) sum.update(each.layer.getDiffId().asBytes());
  return sum.finish();
}

// The whole job; blocks.
Result pack(kj::ArrayPtr<PackLayer> layers, const Outputs& outputs, PackBounds bounds,
            PackObserver& observer) {
  Result result;
  const auto& files = outputs.files;
  switch (outputs.which) {
    case schema::PackOutputs::SQUASHFS: {
      auto writer = makeSquashfsWriter(files[0], outputs.compression);
      result.outcome = packLayers(layers, *writer, bounds, observer);
      break;
    }
    case schema::PackOutputs::CPIO: {
      auto writer = makeCpioWriter(files[0]);
      result.outcome = packLayers(layers, *writer, bounds, observer);
      break;
    }
    case schema::PackOutputs::KERNEL: {
      auto writer = makeKernelWriter({files[0], files[1], files[2], files[3]});
      result.outcome = packLayers(layers, *writer, bounds, observer);
      result.kernelVersion = kj::str(writer->kernelVersion());
      break;
    }
  }
  KJ_IF_MAYBE (file, outputs.verity) {
    auto salt = saltOf(layers);
    result.verity = writeVerityTree(files[0], result.outcome.bytes, salt.bytes(), *file);
  }
  return result;
}

}  // namespace

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
    auto blob = co_await takeFd(input.getBlob(), "layer");
    kj::Maybe<kj::AutoCloseFd> arrival;
    if (input.hasArrival()) arrival = co_await takeFd(input.getArrival(), "arrival");
    layers.add(PackLayer{kj::mv(blob), kj::mv(arrival), input.getLayer()});
  }
  Progress progress(timer, progressSinkOf(params));
  auto outputs = co_await takeOutputs(params.getOutputs());
  PackBounds bounds{params.getLimits().getMaxBytes(), params.getLimits().getMaxEntries()};

  kj::Maybe<Result> done;
  kj::Maybe<kj::Exception> error;
  {
    JobMonitor monitor;
    kj::Thread thread([&]() {
      KJ_DEFER(monitor.end());
      error = kj::runCatchingExceptions(
          [&]() { done = bulkhead::pack(layers, outputs, bounds, monitor); });
    });
    // Whatever ends the wait: the thread ends before what it uses.
    KJ_DEFER(monitor.cancel());
    co_await monitor.forward(progress);
  }
  KJ_IF_MAYBE (e, error) kj::throwFatalException(kj::mv(*e));
  auto& packed = KJ_ASSERT_NONNULL(done);
  auto result = context.getResults().initResult();
  result.setBytes(packed.outcome.bytes);
  result.setEntries(packed.outcome.entries);
  result.setKernelVersion(packed.kernelVersion);
  KJ_IF_MAYBE (tree, packed.verity) {
    result.setVerityRoot(tree->root.bytes());
    result.setVeritySalt(saltOf(layers).bytes());
    result.setVerityBytes(tree->bytes);
  }
}

}  // namespace bulkhead
