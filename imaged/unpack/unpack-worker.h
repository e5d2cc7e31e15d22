// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/io.h>
#include <kj/timer.h>

#include "imaged/unpack/image-tree.h"
#include "schemas/image-worker.capnp.h"
#include "services/runtime/progress.h"

namespace bulkhead {

// One layer's blob and what it should be.
struct PackLayer {
  kj::AutoCloseFd blob;
  schema::Layer::Reader layer;
};

struct PackOutcome {
  uint64_t bytes;
  uint64_t entries;
  kj::String kernelVersion;
};

// Merges layers and writes them through `writer`. The layers are read twice: once to learn the
// tree, once for the contents that are still in it; every read is verified. Pauses now and then, so
// that the event loop hears of a caller that went away.
class TreeWriter;
kj::Promise<PackOutcome> packLayers(kj::Timer& timer, kj::ArrayPtr<PackLayer> layers,
                                    TreeWriter& writer, uint64_t maxBytes, uint64_t maxEntries,
                                    Progress& progress);

// Serves one connection.
class UnpackWorkerImpl final : public schema::UnpackWorker::Server {
 public:
  explicit UnpackWorkerImpl(kj::Timer& timer) : timer(timer) {}

  kj::Promise<void> inspect(InspectContext context) override;
  kj::Promise<void> inspectIndex(InspectIndexContext context) override;
  kj::Promise<void> pack(PackContext context) override;
  kj::Promise<void> files(FilesContext context) override;

 private:
  kj::Timer& timer;
};

}  // namespace bulkhead
