// SPDX-License-Identifier: Apache-2.0
#include "imaged/store/image-store.h"

#include <kj/debug.h>

#include "imaged/platform.h"
#include "imaged/store/image-keeper.h"
#include "services/runtime/failure.h"
#include "services/runtime/files.h"

namespace bulkhead {
namespace {

constexpr uint kMostExtensions = 16;

}  // namespace

// A job and its place in the list: both end with the last caller.
class ImageStoreImpl::SharedJob {
 public:
  SharedJob(kj::Own<Running> runningParam, kj::String keyParam, kj::Own<PullJob> jobParam)
      : running(kj::mv(runningParam)), key(kj::mv(keyParam)), job(kj::mv(jobParam)) {}
  ~SharedJob() noexcept(false) {
    if (!job->isShared()) running->jobs.erase(key);
  }
  KJ_DISALLOW_COPY_AND_MOVE(SharedJob);

  PullJob& operator*() { return *job; }

 private:
  kj::Own<Running> running;
  kj::String key;
  kj::Own<PullJob> job;
};

ImageStoreImpl::ImageStoreImpl(PullServices services, const LayoutRoots& layouts, Log& log)
    : services(services),
      layouts(layouts),
      log(log),
      running(kj::refcounted<Running>()),
      sealedFiles(services.timer) {}

schema::Image::Client ImageStoreImpl::imageOf(ImageIndex::Named named) {
  ImageServices own{services.provider, services.timer, services.directory, services.index};
  return images.add(kj::heap<ImageImpl>(own, kj::mv(named)));
}

schema::Image::Client ImageStoreImpl::imageOf(const Reference& reference) {
  KJ_IF_MAYBE (named, services.index.find(reference)) {
    return imageOf(kj::mv(*named));
  }
  fail(FailureCode::NOT_FOUND, reference.canonical(), "there is no such image here",
       "pull it first");
}

kj::Promise<void> ImageStoreImpl::pull(PullContext context) {
  auto params = context.getParams();
  auto reference = services.parse(params.getReference());
  auto options = params.getOptions();
  auto wanted = PlatformName::resolve(options.getPlatform());

  if (options.getPolicy() != schema::PullPolicy::ALWAYS) {
    KJ_IF_MAYBE (named, services.index.find(reference)) {
      auto damaged = services.index.isDamaged(named->image->name());
      auto has = PlatformName::resolve(named->image->resolved().getPlatform());
      bool signedAsWanted =
          services.config.acceptsVerdict(reference, named->image->resolved().getSignature());
      if (platformFit(wanted, has) != nullptr && signedAsWanted && !damaged) {
        context.getResults().setImage(imageOf(kj::mv(*named)));
        co_return;
      }
    }
    if (options.getPolicy() == schema::PullPolicy::NEVER) {
      fail(FailureCode::NOT_FOUND, reference.canonical(),
           kj::str("there is no such image here for ", wanted.describe()),
           "the pull policy forbids to fetch it");
    }
  }

  // Credentials are part of what is asked for: nobody joins a pull that another's password opens.
  capnp::MallocMessageBuilder copy;
  copy.setRoot(options.getCredentials());
  auto key = kj::str(reference.canonical(), " ", wanted.describe(), " ",
                     Digest::of(capnp::messageToFlatArray(copy).asBytes()));
  kj::Own<PullJob> job;
  KJ_IF_MAYBE (found, running->jobs.find(key)) {
    job = kj::addRef(**found);
  } else {
    job = kj::refcounted<PullJob>(services, reference.clone());
    if (reference.source == Reference::Source::layout) {
      job->startLayout(options.getPlatform(), layouts.open(reference));
    } else {
      job->startRegistry(options.getPlatform(), options.getCredentials());
    }
    running->jobs.insert(kj::str(key), job.get());
  }
  SharedJob shared(kj::addRef(*running), kj::mv(key), kj::mv(job));
  auto listener = (*shared).listen(progressSinkOf(params));
  auto image = co_await (*shared).result();
  log.info("pulled", {field("IMAGE", reference.canonical()),
                      field("MANIFEST", image->resolved().getManifestDigest())});
  context.getResults().setImage(imageOf(reference));
}

kj::Promise<void> ImageStoreImpl::importLayout(ImportLayoutContext context) {
  auto params = context.getParams();
  auto reference = services.parse(params.getReference());
  PullJob job(services, reference.clone());
  auto listener = job.listen(progressSinkOf(params));
  capnp::MallocMessageBuilder platform;
  job.startLayout(platform.initRoot<schema::ImagePlatform>(), Layout(params.getLayout()));
  auto image = co_await job.result();
  log.info("imported", {field("IMAGE", reference.canonical()),
                        field("MANIFEST", image->resolved().getManifestDigest())});
  context.getResults().setImage(imageOf(reference));
}

kj::Promise<void> ImageStoreImpl::find(FindContext context) {
  context.getResults().setImage(imageOf(services.parse(context.getParams().getReference())));
  return kj::READY_NOW;
}

kj::Promise<void> ImageStoreImpl::list(ListContext context) {
  auto all = services.index.list();
  auto out = context.getResults().initImages(static_cast<uint>(all.size()));
  for (uint i = 0; i < out.size(); ++i) writeInfo(services.index, all[i], out[i]);
  return kj::READY_NOW;
}

kj::Promise<void> ImageStoreImpl::remove(RemoveContext context) {
  services.index.removeReference(services.parse(context.getParams().getReference()));
  return kj::READY_NOW;
}

kj::Promise<void> ImageStoreImpl::prune(PruneContext context) {
  auto freed = services.collector.prune(schema::PruneReach::UNNAMED);
  context.getResults().setFreedBytes(freed.bytes);
  return kj::READY_NOW;
}

kj::Promise<void> ImageStoreImpl::lease(LeaseContext context) {
  auto digest = Digest::parse(context.getParams().getManifestDigest(), "lease");
  KJ_IF_MAYBE (image, services.index.findImage(digest.hex())) {
    context.getResults().setImage(imageOf(ImageIndex::Named{kj::String(), 0, kj::mv(*image)}));
    return kj::READY_NOW;
  }
  fail(FailureCode::NOT_FOUND, digest.toString(), "there is no such image here");
}

kj::Promise<void> ImageStoreImpl::keeper(KeeperContext context) {
  auto self = thisCap();
  context.getResults().setKeeper(makeImageKeeper(
      services, [this, self](const Reference& reference) { return imageOf(reference); }, log));
  return kj::READY_NOW;
}

kj::Promise<ImageImpl*> ImageStoreImpl::imageBehind(schema::Image::Client client,
                                                    schema::ImageType type) {
  auto server = co_await images.getLocalServer(client);
  KJ_IF_MAYBE (found, server) {
    auto& image = kj::downcast<ImageImpl>(*found);
    image.require(type);
    co_return &image;
  }
  fail(FailureCode::INVALID, "image", "the image is not one of this store's");
}

kj::Promise<void> ImageStoreImpl::bootFiles(BootFilesContext context) {
  auto params = context.getParams();
  if (params.getExtensions().size() > kMostExtensions) {
    fail(FailureCode::EXHAUSTED, "extensions",
         kj::str("a zone has ", kMostExtensions, " extension images at most"));
  }
  auto* kernel = co_await imageBehind(params.getKernel(), schema::ImageType::KERNEL);
  auto* system = co_await imageBehind(params.getSystem(), schema::ImageType::SYSTEM);
  auto files = context.getResults().initFiles();
  int kernelParts[] = {kernel->mainFile()};
  files.setKernel(makeFile(sealedFiles.get(kernel->name(), kernelParts)));
  kj::Vector<int> initrdParts;
  initrdParts.add(kernel->bootArchive());
  initrdParts.add(system->mainFile());
  auto initrdName = kj::str(kernel->name(), "-", system->name());
  for (auto each : params.getExtensions()) {
    auto* extension = co_await imageBehind(each, schema::ImageType::EXTENSION);
    initrdParts.add(extension->mainFile());
    initrdName = kj::str(initrdName, "-", extension->name());
  }
  files.setInitrd(makeFile(sealedFiles.get(initrdName, initrdParts)));
  files.setAddons(fileFor(kernel->addonsFile()));
  files.setKernelVersion(kernel->kernelVersion());
}

}  // namespace bulkhead
