// SPDX-License-Identifier: Apache-2.0
#include "imaged/store/image-keeper.h"

#include <fcntl.h>
#include <unistd.h>

#include <kj/debug.h>

#include "services/runtime/files.h"
#include "services/runtime/pipe.h"

namespace bulkhead {
namespace {

struct Shared : public kj::Refcounted {
  Shared(PullServices services, ImageMaker images, Log& log)
      : services(services), images(kj::mv(images)), log(log) {}
  PullServices services;
  ImageMaker images;
  Log& log;
};

// One import; the job ends with it.
class ImportServer final : public schema::ImageImport::Server {
 public:
  ImportServer(kj::Own<Shared> shared, Reference referenceParam,
               kj::Maybe<schema::ProgressSink::Client> progress, kj::AutoCloseFd archive)
      : shared(kj::mv(shared)),
        reference(kj::mv(referenceParam)),
        job(kj::refcounted<PullJob>(this->shared->services, reference.clone())),
        listener(job->listen(kj::mv(progress))) {
    job->startArchive(kj::mv(archive));
  }

  kj::Promise<void> finish(FinishContext context) override {
    auto image = co_await job->result();
    shared->log.info("imported", {field("IMAGE", reference.canonical()),
                                  field("MANIFEST", image->resolved().getManifestDigest())});
    context.getResults().setImage(shared->images(reference));
  }

 private:
  kj::Own<Shared> shared;
  Reference reference;
  kj::Own<PullJob> job;
  kj::Own<PullJob::Listener> listener;
};

class KeeperServer final : public schema::ImageKeeper::Server {
 public:
  explicit KeeperServer(kj::Own<Shared> shared) : shared(kj::mv(shared)) {}

  kj::Promise<void> remove(RemoveContext context) override {
    auto reference = shared->services.parse(context.getParams().getReference());
    shared->services.index.removeReference(reference);
    shared->log.info("forgot an image", {field("IMAGE", reference.canonical())});
    return kj::READY_NOW;
  }

  kj::Promise<void> prune(PruneContext context) override {
    auto freed = shared->services.collector.prune(context.getParams().getReach());
    auto results = context.getResults();
    results.setFreedBytes(freed.bytes);
    auto removed = results.initRemoved(static_cast<uint>(freed.references.size()));
    for (uint i = 0; i < removed.size(); ++i) removed.set(i, freed.references[i]);
    shared->log.info("pruned images", {field("BYTES", freed.bytes)});
    return kj::READY_NOW;
  }

  kj::Promise<void> usage(UsageContext context) override {
    shared->services.collector.describe(context.getResults().initUsage());
    return kj::READY_NOW;
  }

  kj::Promise<void> importArchive(ImportArchiveContext context) override {
    auto params = context.getParams();
    auto reference = shared->services.parse(params.getReference());
    if (reference.source != Reference::Source::registry) {
      fail(FailureCode::INVALID, reference.canonical(), "an imported image needs a name of its own",
           "such as localhost/app:1");
    }
    auto pipe = makePipe();
    auto results = context.getResults();
    results.setInput(makeFile(kj::mv(pipe.write)));
    results.setWork(kj::heap<ImportServer>(kj::addRef(*shared), kj::mv(reference),
                                           progressSinkOf(params), kj::mv(pipe.read)));
    return kj::READY_NOW;
  }

 private:
  kj::Own<Shared> shared;
};

}  // namespace

schema::ImageKeeper::Client makeImageKeeper(PullServices services, ImageMaker images, Log& log) {
  return kj::heap<KeeperServer>(kj::refcounted<Shared>(services, kj::mv(images), log));
}

}  // namespace bulkhead
