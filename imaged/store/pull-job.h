// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async-io.h>
#include <kj/refcount.h>

#include "imaged/store/config.h"
#include "imaged/store/image-index.h"
#include "imaged/store/layout.h"
#include "services/runtime/connection.h"
#include "services/runtime/progress.h"

namespace bulkhead {

// What a pull needs from its surroundings; all borrowed.
struct PullServices {
  kj::LowLevelAsyncIoProvider& provider;
  kj::Timer& timer;
  const ImagedConfig& config;
  StoreDirectory& directory;
  ImageIndex& index;
};

// One image on its way into the store, for any number of callers. Destroying it cancels: the
// workers' connections are cut, the files under way have no names.
class PullJob : public kj::Refcounted {
 public:
  PullJob(PullServices services, Reference reference);
  ~PullJob() noexcept(false) override;
  KJ_DISALLOW_COPY_AND_MOVE(PullJob);

  // From a registry. Credentials are copied.
  void startRegistry(schema::PullOptions::Reader options);

  // From a layout.
  void startLayout(Layout layout, schema::ImagePlatform::Reader platform);

  // The image, once it is there. Each caller has a branch of its own.
  kj::Promise<kj::Own<StoredImage>> result() { return KJ_ASSERT_NONNULL(running).addBranch(); }

  // Where progress is reported as long as the returned handle lives.
  class Listener;
  kj::Own<Listener> listen(kj::Maybe<schema::ProgressSink::Client> sink);

 private:
  class LayerProgress;
  class PhaseProgress;

  // A worker's last report may be on its way when the job is gone.
  struct Link : public kj::Refcounted {
    kj::Maybe<PullJob&> job;
  };

  PullServices services;
  Reference reference;
  kj::String name;
  capnp::MallocMessageBuilder message;  // ImageRecord
  kj::Own<Link> link;
  kj::Vector<Listener*> listeners;
  kj::Vector<uint64_t> layerDone;
  kj::Vector<kj::AutoCloseFd> blobs;  // one a layer
  uint nextLayer = 0;
  capnp::MallocMessageBuilder options;
  kj::Maybe<kj::Own<Connection>> fetcher;  // one worker for the whole pull
  kj::Maybe<kj::ForkedPromise<kj::Own<StoredImage>>> running;

  void report(kj::StringPtr phase, kj::StringPtr subject, uint64_t done, uint64_t total);
  void reportFetch();
  kj::Promise<kj::Own<StoredImage>> runRegistry();
  kj::Promise<kj::Own<StoredImage>> runLayout(Layout layout);
  kj::Promise<void> fetchLayers();
  kj::Promise<void> fetchLane();
  kj::Promise<void> fetchLayer(uint number);
  kj::Promise<kj::Own<StoredImage>> pack();
  kj::Maybe<kj::Own<StoredImage>> alreadyHere();
  schema::ResolveResult::Reader resolved();
  schema::FetchWorker::Client fetchWorker();
  void describeRegistry(schema::Registry::Builder out);
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

}  // namespace bulkhead
