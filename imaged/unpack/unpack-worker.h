// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/timer.h>

#include "schemas/image-worker.capnp.h"

namespace bulkhead {

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
