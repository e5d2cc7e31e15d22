// SPDX-License-Identifier: Apache-2.0
#include "imaged/store/pull-job.h"

#include <fcntl.h>
#include <time.h>

#include <kj/debug.h>

#include "services/runtime/failure.h"
#include "services/runtime/files.h"

namespace bulkhead {
namespace {

constexpr uint kLanes = 4;
constexpr size_t kMostManifest = 4u << 20;
constexpr size_t kMostConfig = 8u << 20;
constexpr uint kMostNesting = 4;
// Compressed bytes of one image: a manifest's numbers are a stranger's.
constexpr uint64_t kMostCompressed = uint64_t{64} << 30;

ConnectionLimits workerLimits() {
  ConnectionLimits limits;
  // One for each layer and output; the limit holds for both directions.
  limits.fdsPerMessage = 250;
  limits.messageBytes = 32u << 20;
  return limits;
}

// A worker that dies is no failure of the registry's: its parser met something it did not survive.
template <typename T>
kj::Promise<T> withWorker(kj::Promise<T> promise, kj::StringPtr subject, kj::StringPtr worker) {
  return promise.catch_(
      [subject = kj::str(subject), worker = kj::str(worker)](kj::Exception&& e) -> kj::Promise<T> {
        if (isDisconnected(e)) {
          return failure(FailureCode::INTERNAL, subject, kj::str("the ", worker, " worker died"),
                         "its journal says why")
              .toException();
        }
        return kj::mv(e);
      });
}

}  // namespace

// Receives a fetch worker's reports on one layer.
class PullJob::LayerProgress final : public schema::ProgressSink::Server {
 public:
  LayerProgress(kj::Own<Link> link, uint number) : link(kj::mv(link)), number(number) {}

  kj::Promise<void> report(ReportContext context) override {
    KJ_IF_MAYBE (job, link->job) {
      job->layerDone[number] = context.getParams().getProgress().getDone();
      job->reportFetch();
    }
    return kj::READY_NOW;
  }

 private:
  kj::Own<Link> link;
  uint number;
};

// Passes an unpack worker's reports on.
class PullJob::PhaseProgress final : public schema::ProgressSink::Server {
 public:
  explicit PhaseProgress(kj::Own<Link> link) : link(kj::mv(link)) {}

  kj::Promise<void> report(ReportContext context) override {
    auto progress = context.getParams().getProgress();
    KJ_IF_MAYBE (job, link->job) {
      job->report("pack", job->name, progress.getDone(), progress.getTotal());
    }
    return kj::READY_NOW;
  }

 private:
  kj::Own<Link> link;
};

PullJob::Listener::Listener(PullJob& job, kj::Maybe<schema::ProgressSink::Client> sink)
    : job(job), progress(job.services.timer, kj::mv(sink)) {
  job.listeners.add(this);
}

PullJob::Listener::~Listener() noexcept(false) {
  kj::Vector<Listener*> others;
  for (auto* listener : job.listeners) {
    if (listener != this) others.add(listener);
  }
  job.listeners = kj::mv(others);
}

kj::Own<PullJob::Listener> PullJob::listen(kj::Maybe<schema::ProgressSink::Client> sink) {
  return kj::heap<Listener>(*this, kj::mv(sink));
}

PullJob::PullJob(PullServices services, Reference referenceParam)
    : services(services),
      reference(kj::mv(referenceParam)),
      name(reference.canonical()),
      link(kj::refcounted<Link>()) {
  message.initRoot<record::ImageRecord>();
  link->job = *this;
}

PullJob::~PullJob() noexcept(false) { link->job = nullptr; }

void PullJob::startRegistry(schema::PullOptions::Reader wanted) {
  options.setRoot(wanted);
  running = runRegistry().fork();
}

void PullJob::startLayout(Layout layout, schema::ImagePlatform::Reader platform) {
  options.initRoot<schema::PullOptions>().setPlatform(platform);
  running = runLayout(kj::mv(layout)).fork();
}

void PullJob::report(kj::StringPtr phase, kj::StringPtr subject, uint64_t done, uint64_t total) {
  for (auto* listener : listeners) listener->progress.report(phase, subject, done, total);
}

void PullJob::reportFetch() {
  uint64_t done = 0;
  uint64_t total = 0;
  for (uint64_t bytes : layerDone) done += bytes;
  for (auto layer : resolved().getLayers()) total += layer.getSize();
  report("fetch", name, done, total);
}

schema::ResolveResult::Reader PullJob::resolved() {
  return message.getRoot<record::ImageRecord>().asReader().getResolved();
}

void PullJob::describeRegistry(schema::Registry::Builder out) {
  services.config.describeRegistry(reference, out);
  auto given = options.getRoot<schema::PullOptions>().asReader().getCredentials();
  if (!given.isNone()) out.setCredentials(given);
}

// All that one pull asks for goes over the same connections to the registry.
schema::FetchWorker::Client PullJob::fetchWorker() {
  if (fetcher == nullptr) fetcher = connectTo(services.provider, Edge::fetch, workerLimits());
  return KJ_ASSERT_NONNULL(fetcher)->bootstrap<schema::FetchWorker>();
}

kj::Maybe<kj::Own<StoredImage>> PullJob::alreadyHere() {
  auto digest = Digest::parse(resolved().getManifestDigest(), name);
  KJ_IF_MAYBE (image, services.index.findImage(digest.hex())) {
    services.index.setReference(reference, **image);
    return kj::mv(*image);
  }
  return nullptr;
}

kj::Promise<kj::Own<StoredImage>> PullJob::runRegistry() {
  report("resolve", name, 0, 0);
  {
    auto request = fetchWorker().resolveRequest();
    auto wanted = request.initRequest();
    describeRegistry(wanted.initRegistry());
    services.config.describeSignatures(reference, wanted.initSignatures());
    wanted.setRepository(reference.repository);
    KJ_IF_MAYBE (digest, reference.digest) {
      wanted.setDigest(digest->toString());
    } else {
      wanted.setTag(reference.tag);
    }
    wanted.setPlatform(options.getRoot<schema::PullOptions>().asReader().getPlatform());
    auto response = co_await withWorker(request.send().dropPipeline(), name, "fetch");
    message.getRoot<record::ImageRecord>().setResolved(response.getResult());
  }
  KJ_IF_MAYBE (image, alreadyHere()) {
    co_return kj::mv(*image);
  }
  co_await fetchLayers();
  fetcher = nullptr;
  co_return co_await pack();
}

kj::Promise<void> PullJob::fetchLayers() {
  uint64_t total = 0;
  for (auto layer : resolved().getLayers()) {
    if (layer.getSize() > kMostCompressed - total) {
      fail(FailureCode::EXHAUSTED, name,
           kj::str("the layers have more than ", kMostCompressed, " bytes"));
    }
    total += layer.getSize();
    layerDone.add(0);
    blobs.add(kj::AutoCloseFd());
  }
  auto lanes = kj::heapArrayBuilder<kj::Promise<void>>(kLanes);
  for (uint i = 0; i < kLanes; ++i) lanes.add(fetchLane());
  co_await kj::joinPromisesFailFast(lanes.finish());
}

kj::Promise<void> PullJob::fetchLane() {
  while (nextLayer < blobs.size()) {
    uint number = nextLayer++;
    co_await fetchLayer(number);
  }
}

kj::Promise<void> PullJob::fetchLayer(uint number) {
  auto layers = resolved().getLayers();
  auto layer = layers[number];
  // The empty layer is in many images, and many times.
  for (uint i = 0; i < number; ++i) {
    if (layers[i].getDigest() == layer.getDigest() && blobs[i] != nullptr) {
      blobs[number] = duplicate(blobs[i]);
      co_return;
    }
  }
  auto file = services.directory.createUnnamed();
  auto request = fetchWorker().fetchBlobRequest();
  auto wanted = request.initRequest();
  describeRegistry(wanted.initRegistry());
  wanted.setRepository(reference.repository);
  wanted.setDigest(layer.getDigest());
  wanted.setSize(layer.getSize());
  request.setInto(makeFile(duplicate(file)));
  request.setProgress(kj::heap<LayerProgress>(kj::addRef(*link), number));
  auto response = co_await withWorker(request.send().dropPipeline(), name, "fetch");
  auto expected = Digest::parse(layer.getDigest(), name);
  if (response.getVerified() != expected.bytes()) {
    fail(FailureCode::DIGEST_MISMATCH, name, kj::str("the blob ", expected, " is another one"));
  }
  blobs[number] = kj::mv(file);
  layerDone[number] = layer.getSize();
}

kj::Promise<kj::Own<StoredImage>> PullJob::runLayout(Layout layout) {
  report("resolve", name, 0, 0);
  {
    auto connection = connectTo(services.provider, Edge::unpack, workerLimits());
    auto worker = connection->bootstrap<schema::UnpackWorker>();
    auto platform = options.getRoot<schema::PullOptions>().asReader().getPlatform();
    // Index, perhaps further indexes, then the manifest and where its configuration is.
    kj::Array<kj::byte> document = co_await layout.index();
    kj::String tag = kj::str(reference.tag);
    for (uint depth = 0;; ++depth) {
      if (depth > kMostNesting) {
        fail(FailureCode::INVALID, name,
             kj::str("indexes are nested more than ", kMostNesting, " deep"));
      }
      auto request = worker.inspectIndexRequest();
      request.setIndex(document);
      request.setTag(tag);
      request.setPlatform(platform);
      auto response = co_await withWorker(request.send().dropPipeline(), name, "unpack");
      auto digest = Digest::parse(response.getDigest(), name);
      tag = kj::String();
      auto type = response.getMediaType();
      bool config = type.startsWith("application/vnd.oci.image.config.") ||
                    type.startsWith("application/vnd.docker.container.image.");
      if (response.getSize() > (config ? kMostConfig : kMostManifest)) {
        fail(FailureCode::EXHAUSTED, name, kj::str("the document ", digest, " is too large"));
      }
      auto next = co_await layout.document(digest, response.getSize());
      if (!config) {
        document = kj::mv(next);
        continue;
      }
      auto inspect = worker.inspectRequest();
      inspect.setManifest(document);
      inspect.setConfig(next);
      inspect.setPlatform(platform);
      auto result = co_await withWorker(inspect.send().dropPipeline(), name, "unpack");
      message.getRoot<record::ImageRecord>().setResolved(result.getResult());
      break;
    }
  }
  KJ_IF_MAYBE (image, alreadyHere()) {
    co_return kj::mv(*image);
  }
  // The worker reads the layers where they are, and hashes them each time it does.
  for (auto layer : resolved().getLayers()) {
    blobs.add(co_await layout.blob(Digest::parse(layer.getDigest(), name)));
  }
  co_return co_await pack();
}

kj::Promise<kj::Own<StoredImage>> PullJob::pack() {
  auto record = message.getRoot<record::ImageRecord>();
  auto folder = Digest::parse(resolved().getManifestDigest(), name).hex();
  auto staging = services.directory.stage();
  {
    auto connection = connectTo(services.provider, Edge::unpack, workerLimits());
    auto request = connection->bootstrap<schema::UnpackWorker>().packRequest();
    auto layers = request.initLayers(static_cast<uint>(blobs.size()));
    for (uint i = 0; i < layers.size(); ++i) {
      layers[i].setBlob(makeFile(duplicate(blobs[i])));
      layers[i].setLayer(resolved().getLayers()[i]);
    }
    auto outputs = request.initOutputs();
    switch (resolved().getType()) {
      case schema::ImageType::CONTAINER:
        outputs.setSquashfs(makeFile(staging->create("root.squashfs")));
        break;
      case schema::ImageType::SYSTEM:
        outputs.setCpio(makeFile(staging->create("system.cpio")));
        break;
      case schema::ImageType::KERNEL: {
        auto parts = outputs.initKernel();
        parts.setImage(makeFile(staging->create("kernel")));
        parts.setAddons(makeFile(staging->create("addons.squashfs")));
        parts.setBootArchive(makeFile(staging->create("boot.cpio")));
        parts.setMetadata(makeFile(staging->create("metadata")));
        break;
      }
      default:
        fail(FailureCode::UNSUPPORTED, name, "this build does not know that type of image");
    }
    auto limits = request.initLimits();
    limits.setMaxBytes(services.config.maxImageBytes);
    limits.setMaxEntries(services.config.maxImageEntries);
    request.setProgress(kj::heap<PhaseProgress>(kj::addRef(*link)));
    auto response = co_await withWorker(request.send().dropPipeline(), name, "unpack");
    auto result = response.getResult();
    record.setPackedBytes(result.getBytes());
    record.setEntries(result.getEntries());
    record.setKernelVersion(result.getKernelVersion());
    record.setPackedUnixSeconds(time(nullptr));
  }
  blobs.clear();
  auto image = services.index.publish(*staging, folder, message);
  services.index.setReference(reference, *image);
  co_return kj::mv(image);
}

}  // namespace bulkhead
