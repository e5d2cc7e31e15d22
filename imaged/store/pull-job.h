// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async-io.h>
#include <kj/refcount.h>

#include "imaged/store/collector.h"
#include "imaged/store/config.h"
#include "imaged/store/image-source.h"
#include "imaged/store/layout.h"
#include "imaged/store/worker.h"
#include "services/runtime/progress.h"

namespace bulkhead {

// What a pull needs from its surroundings; all borrowed.
struct PullServices {
  kj::LowLevelAsyncIoProvider& provider;
  kj::Timer& timer;
  const ImagedConfig& config;
  StoreDirectory& directory;
  ImageIndex& index;
  Collector& collector;

  // What a caller calls an image. Fails as Reference::parse.
  Reference parse(kj::StringPtr text) const {
    return Reference::parse(text, config.defaultRegistry);
  }
};

// One image on its way into the store, for any number of callers. Destroying it cancels: the
// workers' connections are cut, and what was under way is removed.
class PullJob : public kj::Refcounted {
 public:
  PullJob(PullServices services, Reference reference);
  ~PullJob() noexcept(false) override;
  KJ_DISALLOW_COPY_AND_MOVE(PullJob);

  // One of these, once. Everything is copied.
  void startRegistry(schema::ImagePlatform::Reader platform,
                     schema::Credentials::Reader credentials);
  void startLayout(schema::ImagePlatform::Reader platform, Layout layout);
  void startArchive(kj::AutoCloseFd archive);

  // The image, once it is there. Each caller has a branch of its own.
  kj::Promise<kj::Own<StoredImage>> result() { return KJ_ASSERT_NONNULL(running).addBranch(); }

  // Where progress is reported as long as the returned handle lives.
  class Listener;
  kj::Own<Listener> listen(kj::Maybe<schema::ProgressSink::Client> sink);

 private:
  class PhaseProgress;
  class LayerProgress;
  struct LayerFile;

  // A worker's last report may be on its way when the job is gone.
  struct Link : public kj::Refcounted {
    kj::Maybe<PullJob&> job;
  };

  // What is reused of the store may turn out to be damaged.
  enum class Reuse { allowed, none };

  PullServices services;
  Reference reference;
  kj::String name;
  capnp::MallocMessageBuilder message;   // ImageRecord
  capnp::MallocMessageBuilder platform;  // ImagePlatform
  kj::Own<Link> link;
  kj::Vector<Listener*> listeners;
  FileWorkerProcess files;
  kj::Own<ImageSource> source;
  kj::Vector<LayerFile> layers;
  uint nextLayer = 0;
  kj::Maybe<kj::ForkedPromise<kj::Own<StoredImage>>> running;

  void start(schema::ImagePlatform::Reader platform, kj::Own<ImageSource> from);
  void report(kj::StringPtr phase, kj::StringPtr subject, uint64_t done, uint64_t total);
  schema::ProgressSink::Client progressOf(kj::StringPtr phase, kj::StringPtr subject);

  kj::Promise<kj::Own<StoredImage>> run();
  kj::Promise<kj::Own<StoredImage>> obtain(Reuse reuse);
  kj::Promise<void> plan(Reuse reuse);
  kj::Promise<bool> findDamagedLayers();
  void checkSizes();
  kj::Promise<void> fetchLayers();
  kj::Promise<void> fetchLane();
  bool isFetching() const;
  bool mayBeDisk();
  bool mayPackArriving();
  kj::Promise<kj::Own<StoredImage>> packComplete();
  kj::Promise<kj::Own<StoredImage>> packArriving();
  kj::Promise<kj::Own<StoredImage>> publish(Staging& staging);
  kj::Promise<bool> packDisk(Staging& staging);
  kj::Promise<void> packTree(Staging& staging);
  kj::Promise<void> seal(Staging& staging, kj::ArrayPtr<const kj::StringPtr> names);
  kj::Maybe<kj::Own<StoredImage>> present();
  kj::Own<StoredImage> adopt(kj::Own<StoredImage> image);
  void forgetLayers();

  record::ImageRecord::Builder record() { return message.getRoot<record::ImageRecord>(); }
  schema::ResolveResult::Reader resolved() { return record().asReader().getResolved(); }
};

class PullJob::Listener {
 public:
  Listener(PullJob& job, kj::Maybe<schema::ProgressSink::Client> sink);
  ~Listener() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(Listener);

 private:
  friend class PullJob;
  PullJob& job;
  Progress progress;
};

// A layer's compressed bytes, from wherever they are.
struct PullJob::LayerFile {
  Digest digest;
  kj::Own<StagedFile> staged;  // fetched just now
  kj::AutoCloseFd stored;      // of the store's own
  kj::Maybe<uint> same;        // an earlier layer of the image with the same digest
  bool isComplete = false;

  // Pipes whose readers want to know when a layer that is being fetched has grown.
  kj::Vector<kj::AutoCloseFd> watchers;

  bool isReused() const { return stored.get() >= 0; }
  bool isThere() const { return staged.get() != nullptr || isReused(); }
  int fd() const { return staged.get() != nullptr ? staged->fd() : stored.get(); }
};

}  // namespace bulkhead
