// SPDX-License-Identifier: Apache-2.0
#include "imaged/store/pull-job.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <kj/debug.h>

#include "imaged/store/archive-import.h"
#include "imaged/store/layout-source.h"
#include "imaged/store/packed-files.h"
#include "imaged/store/registry-source.h"
#include "services/runtime/files.h"
#include "services/runtime/pipe.h"

namespace bulkhead {
namespace {

constexpr uint kLanes = 4;
// Compressed bytes of one image: a manifest's numbers are a stranger's.
constexpr uint64_t kMostCompressed = uint64_t{64} << 30;

// Files that a worker packs one image into.
constexpr size_t kMostOutputs = 4;

// What so many bytes take on a disk, about.
constexpr uint64_t onDisk(uint64_t bytes) { return (bytes + 4095) / 4096 * 4096; }

// The writing end does not block: whoever does not read hears less.
Pipe makeWatch() {
  auto pipe = makePipe();
  int on = 1;
  KJ_SYSCALL(ioctl(pipe.write, FIONBIO, &on));
  return pipe;
}

void tellGrowth(int watcher) {
  // A full pipe tells as much, and a reader that is gone needs to know nothing.
  ssize_t written = write(watcher, "", 1);
  (void)written;
}

using DiskResponse = capnp::Response<schema::FileWorker::ExtractDiskResults>;

}  // namespace

// Passes a worker's reports on, under names of ours.
class PullJob::PhaseProgress final : public schema::ProgressSink::Server {
 public:
  PhaseProgress(kj::Own<Link> link, kj::StringPtr phase, kj::StringPtr subject)
      : link(kj::mv(link)), phase(phase), subject(kj::str(subject)) {}

  kj::Promise<void> report(ReportContext context) override {
    auto progress = context.getParams().getProgress();
    KJ_IF_MAYBE (job, link->job) {
      // What goes on beside the fetching is told when that is over.
      if (!job->isFetching()) {
        job->report(phase, subject, progress.getDone(), progress.getTotal());
      }
    }
    return kj::READY_NOW;
  }

 private:
  kj::Own<Link> link;
  kj::StringPtr phase;  // a literal
  kj::String subject;
};

// Passes a layer's progress on, also to whoever reads the layer while it arrives.
class PullJob::LayerProgress final : public schema::ProgressSink::Server {
 public:
  LayerProgress(kj::Own<Link> link, uint number) : link(kj::mv(link)), number(number) {}

  kj::Promise<void> report(ReportContext context) override {
    auto progress = context.getParams().getProgress();
    KJ_IF_MAYBE (job, link->job) {
      job->report("fetch", job->resolved().getLayers()[number].getDigest(), progress.getDone(),
                  progress.getTotal());
      for (auto& watcher : job->layers[number].watchers) tellGrowth(watcher);
    }
    return kj::READY_NOW;
  }

 private:
  kj::Own<Link> link;
  uint number;
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
      link(kj::refcounted<Link>()),
      files(services.provider, services.timer) {
  message.initRoot<record::ImageRecord>();
  link->job = *this;
}

PullJob::~PullJob() noexcept(false) {
  link->job = nullptr;
  // First the work and then what it works on.
  running = nullptr;
  forgetLayers();
}

void PullJob::start(schema::ImagePlatform::Reader wanted, kj::Own<ImageSource> from) {
  platform.setRoot(wanted);
  source = kj::mv(from);
  running = run().fork();
}

void PullJob::startRegistry(schema::ImagePlatform::Reader wanted,
                            schema::Credentials::Reader credentials) {
  start(wanted,
        kj::heap<RegistrySource>(services.provider, services.config, reference, credentials));
}

void PullJob::startLayout(schema::ImagePlatform::Reader wanted, Layout layout) {
  start(wanted, kj::heap<LayoutSource>(services.provider, files, reference, kj::mv(layout)));
}

void PullJob::startArchive(kj::AutoCloseFd archive) {
  capnp::MallocMessageBuilder own;
  start(own.initRoot<schema::ImagePlatform>(),
        kj::heap<ArchiveSource>(services.provider, services.directory, files, reference,
                                kj::mv(archive), kMostCompressed));
}

void PullJob::report(kj::StringPtr phase, kj::StringPtr subject, uint64_t done, uint64_t total) {
  for (auto* listener : listeners) listener->progress.report(phase, subject, done, total);
}

schema::ProgressSink::Client PullJob::progressOf(kj::StringPtr phase, kj::StringPtr subject) {
  return kj::heap<PhaseProgress>(kj::addRef(*link), phase, subject);
}

// The image, where the store has it whole.
kj::Maybe<kj::Own<StoredImage>> PullJob::present() {
  auto digest = Digest::parse(resolved().getManifestDigest(), name);
  if (services.index.isDamaged(digest.hex())) return nullptr;
  return services.index.findImage(digest.hex());
}

// Names an image that is here already.
kj::Own<StoredImage> PullJob::adopt(kj::Own<StoredImage> image) {
  auto verdict = resolved().getSignature();
  bool news = verdict.getKind() == schema::SignatureVerdict::Kind::VERIFIED &&
              image->resolved().getSignature().getKeyFingerprint() != verdict.getKeyFingerprint();
  if (news) services.index.setVerdict(image->name(), verdict);
  services.index.setReference(reference, *image, source->origin());
  return image;
}

kj::Promise<kj::Own<StoredImage>> PullJob::run() {
  report("resolve", name, 0, 0);
  co_await source->resolve(platform.getRoot<schema::ImagePlatform>(), record());
  checkSizes();
  KJ_IF_MAYBE (image, present()) {
    // The name means this image already, so that nothing is given to anybody.
    KJ_IF_MAYBE (named, services.index.find(reference)) {
      if (named->image->name() == (*image)->name()) {
        co_return adopt(kj::mv(*image));
      }
    }
  }
  kj::Maybe<kj::Exception> problem;
  try {
    co_return co_await obtain(Reuse::allowed);
  } catch (...) {
    problem = kj::getCaughtExceptionAsKj();
  }
  // What lay in the store may not be what it was; then all of it is brought anew.
  if (!co_await findDamagedLayers()) {
    kj::throwFatalException(kj::mv(KJ_ASSERT_NONNULL(problem)));
  }
  co_return co_await obtain(Reuse::none);
}

// Whether a layer that was taken from the store is another one than it should be. Marks those.
kj::Promise<bool> PullJob::findDamagedLayers() {
  bool found = false;
  for (auto& layer : layers) {
    if (!layer.isReused()) continue;
    auto got = co_await files.digest(duplicate(layer.fd()), name, layer.digest.toString(), nullptr);
    if (got.digest == layer.digest.toString()) continue;
    services.index.markBlobDamaged(layer.digest);
    found = true;
  }
  co_return found;
}

void PullJob::checkSizes() {
  uint64_t total = 0;
  for (auto layer : resolved().getLayers()) {
    if (layer.getSize() > kMostCompressed - total) {
      fail(FailureCode::EXHAUSTED, name,
           kj::str("the layers have more than ", kMostCompressed, " bytes"));
    }
    total += layer.getSize();
  }
}

kj::Promise<kj::Own<StoredImage>> PullJob::obtain(Reuse reuse) {
  co_await plan(reuse);
  uint64_t missing = 0;
  for (uint i = 0; i < layers.size(); ++i) {
    if (!layers[i].isThere() && layers[i].same == nullptr) {
      missing += onDisk(resolved().getLayers()[i].getSize());
    }
  }
  if (missing > 0) services.collector.makeRoom(missing, name);
  if (mayPackArriving()) co_return co_await packArriving();
  co_await fetchLayers();
  // Everything is proven by now that the source would give.
  KJ_IF_MAYBE (image, present()) {
    co_return adopt(kj::mv(*image));
  }
  co_return co_await packComplete();
}

void PullJob::forgetLayers() {
  for (auto& layer : layers) {
    if (layer.isReused()) services.index.unpinBlob(layer.digest);
  }
  layers.clear();
  nextLayer = 0;
}

// Which layers are here already, and may be used.
kj::Promise<void> PullJob::plan(Reuse reuse) {
  forgetLayers();
  auto wanted = resolved().getLayers();
  for (uint i = 0; i < wanted.size(); ++i) {
    layers.add(LayerFile{Digest::parse(wanted[i].getDigest(), name), {}, {}, {}, false, {}});
    auto& layer = layers[i];
    // The empty layer is in many images, and many times.
    for (uint j = 0; j < i && layer.same == nullptr; ++j) {
      if (layers[j].digest == layer.digest) layer.same = j;
    }
    if (layer.same != nullptr) continue;
    KJ_IF_MAYBE (taken, source->take(wanted[i])) {
      layer.staged = kj::mv(*taken);
      layer.isComplete = true;
    }
    if (layer.isComplete || reuse == Reuse::none) continue;
    auto standing = services.index.standing(reference, layer.digest);
    if (standing == ImageIndex::Standing::absent) continue;
    if (!co_await source->allows(wanted[i], standing)) continue;
    // It may have gone while the registry was asked.
    if (!services.index.hasBlob(layers[i].digest)) continue;
    auto stored = services.directory.openBlob(layers[i].digest.hex());
    services.index.pinBlob(layers[i].digest);
    layers[i].stored = kj::mv(stored);
    layers[i].isComplete = true;
  }
}

kj::Promise<void> PullJob::fetchLayers() {
  for (uint i = 0; i < layers.size(); ++i) {
    auto& layer = layers[i];
    if (layer.same != nullptr) continue;
    auto size = resolved().getLayers()[i].getSize();
    report("fetch", resolved().getLayers()[i].getDigest(), layer.isComplete ? size : 0, size);
    if (!layer.isThere()) layer.staged = services.directory.stageFile();
  }
  auto lanes = kj::heapArrayBuilder<kj::Promise<void>>(kLanes);
  for (uint i = 0; i < kLanes; ++i) lanes.add(fetchLane());
  co_await kj::joinPromisesFailFast(lanes.finish());
}

// The uppermost layers first: those are read first.
kj::Promise<void> PullJob::fetchLane() {
  while (nextLayer < layers.size()) {
    auto number = static_cast<uint>(layers.size()) - ++nextLayer;
    if (layers[number].same != nullptr) continue;
    auto layer = resolved().getLayers()[number];
    if (!layers[number].isComplete) {
      co_await source->fetch(layer, layers[number].fd(),
                             kj::heap<LayerProgress>(kj::addRef(*link), number));
      layers[number].isComplete = true;
      layers[number].watchers.clear();
      report("fetch", layer.getDigest(), layer.getSize(), layer.getSize());
    }
    if (layers[number].staged.get() != nullptr) co_await files.sync(layers[number].fd(), name);
  }
}

bool PullJob::isFetching() const {
  for (const auto& layer : layers) {
    if (layer.same == nullptr && !layer.isComplete) return true;
  }
  return false;
}

bool PullJob::mayBeDisk() {
  auto container = resolved().getContainer();
  bool bare = resolved().getType() == schema::ImageType::CONTAINER && layers.size() == 1 &&
              container.getEntrypoint().size() == 0 && container.getCommand().size() == 0;
  return bare || resolved().getType() == schema::ImageType::DISK;
}

// A disk is known for one only when it is there whole. And a layer that arrives takes two of the
// descriptors that one message carries, so an image of very many layers is packed afterwards.
bool PullJob::mayPackArriving() {
  if (present() != nullptr || mayBeDisk()) return false;
  size_t descriptors = layers.size() + kMostOutputs;
  for (const auto& layer : layers) {
    if (layer.same == nullptr && !layer.isComplete) ++descriptors;
  }
  return descriptors <= workerLimits().fdsPerMessage;
}

// Packs layers while they are fetched.
kj::Promise<kj::Own<StoredImage>> PullJob::packArriving() {
  auto staging = services.directory.stage();
  for (auto& layer : layers) {
    if (layer.same == nullptr && !layer.isThere()) layer.staged = services.directory.stageFile();
  }
  auto packing = packTree(*staging).eagerlyEvaluate(nullptr);
  // Where both fail, the registry's wrong bytes are the reason for what the parser says.
  co_await fetchLayers();
  report("pack", name, 0, 0);
  co_await packing;
  co_return co_await publish(*staging);
}

kj::Promise<kj::Own<StoredImage>> PullJob::packComplete() {
  report("pack", name, 0, 0);
  auto staging = services.directory.stage();
  bool isDisk = mayBeDisk() && co_await packDisk(*staging);
  if (isDisk) {
    record().getResolved().setType(schema::ImageType::DISK);
  } else if (resolved().getType() == schema::ImageType::DISK) {
    fail(FailureCode::INVALID, name, "the image is no disk",
         "a disk image has one layer with one file below /disk: *.img, *.raw or *.qcow2");
  } else {
    if (mayBeDisk()) staging->remove(kDiskFile);
    co_await packTree(*staging);
  }
  co_return co_await publish(*staging);
}

kj::Promise<kj::Own<StoredImage>> PullJob::publish(Staging& staging) {
  co_await seal(staging, packedFiles(resolved().getType()));
  record().setPackedUnixSeconds(time(nullptr));

  kj::Vector<StagedBlob> fresh;
  uint64_t bytes = onDisk(record().getPackedBytes()) + onDisk(record().getVerityBytes()) +
                   onDisk(message.sizeInWords() * sizeof(capnp::word));
  for (uint i = 0; i < layers.size(); ++i) {
    if (layers[i].staged.get() == nullptr) continue;
    fresh.add(StagedBlob{layers[i].digest.hex(), kj::mv(layers[i].staged)});
    bytes += onDisk(resolved().getLayers()[i].getSize());
  }
  services.collector.makeRoom(bytes, name);
  auto folder = Digest::parse(resolved().getManifestDigest(), name).hex();
  auto image = services.index.publish(staging, folder, message, fresh);
  services.index.setReference(reference, *image, source->origin());
  co_return kj::mv(image);
}

kj::Promise<bool> PullJob::packDisk(Staging& staging) {
  auto request = files.get().extractDiskRequest();
  auto input = request.initLayer();
  input.setBlob(makeFile(duplicate(layers[0].fd())));
  input.setLayer(resolved().getLayers()[0]);
  request.setInto(makeFile(staging.create(kDiskFile)));
  request.setMaxBytes(services.config.maxImageBytes);
  request.setProgress(progressOf("pack", name));
  auto response = co_await withWorker(kj::Promise<DiskResponse>(request.send()), name, "unpack");
  if (!response.getFound()) co_return false;
  record().setPackedBytes(response.getBytes());
  record().setEntries(1);
  record().setDiskFormat(response.getFormat());
  co_return true;
}

kj::Promise<void> PullJob::packTree(Staging& staging) {
  auto connection = connectTo(services.provider, Edge::unpack, workerLimits());
  auto request = connection->bootstrap<schema::UnpackWorker>().packRequest();
  auto inputs = request.initLayers(static_cast<uint>(layers.size()));
  for (uint i = 0; i < inputs.size(); ++i) {
    auto& from = layers[layers[i].same.orDefault(i)];
    inputs[i].setBlob(makeFile(duplicate(from.fd())));
    if (!from.isComplete) {
      auto watch = makeWatch();
      inputs[i].setArrival(makeFile(kj::mv(watch.read)));
      from.watchers.add(kj::mv(watch.write));
    }
    inputs[i].setLayer(resolved().getLayers()[i]);
  }
  fillOutputs(resolved().getType(), services.config.compression, staging, name,
              request.initOutputs());
  auto limits = request.initLimits();
  limits.setMaxBytes(services.config.maxImageBytes);
  limits.setMaxEntries(services.config.maxImageEntries);
  request.setProgress(progressOf("pack", name));
  auto response = co_await withWorker(request.send().dropPipeline(), name, "unpack");
  auto result = response.getResult();
  record().setPackedBytes(result.getBytes());
  record().setEntries(result.getEntries());
  record().setKernelVersion(result.getKernelVersion());
  record().setVerityRoot(result.getVerityRoot());
  record().setVeritySalt(result.getVeritySalt());
  record().setVerityBytes(result.getVerityBytes());
}

// Notes what the packed files are, for whoever wants to know later whether they still are that:
// their digests, but not of a file that a hash tree lies beside, which would only have to be read
// once more. A worker syncs them, so that this process need not wait for the disk.
kj::Promise<void> PullJob::seal(Staging& staging, kj::ArrayPtr<const kj::StringPtr> names) {
  auto list = record().initFiles(static_cast<uint>(names.size()));
  for (uint i = 0; i < names.size(); ++i) {
    list[i].setName(names[i]);
    if (names[i] == kRootFile && record().getVerityRoot().size() > 0) {
      co_await files.sync(staging.open(names[i]), name);
      list[i].setSize(record().getPackedBytes());
      continue;
    }
    auto digest = co_await files.digest(staging.open(names[i]), name, "", nullptr);
    list[i].setSize(digest.size);
    list[i].setDigest(digest.digest);
  }
}

}  // namespace bulkhead
