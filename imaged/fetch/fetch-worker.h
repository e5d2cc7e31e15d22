// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "imaged/fetch/registry-client.h"

namespace bulkhead {

// Serves one connection.
class FetchWorkerImpl final : public schema::FetchWorker::Server {
 public:
  // `certificates`: the system's trusted roots, as PEM.
  FetchWorkerImpl(kj::UnixEventPort& port, kj::Timer& timer, kj::Array<kj::byte> certificates)
      : port(port), timer(timer), certificates(kj::mv(certificates)) {}

  kj::Promise<void> resolve(ResolveContext context) override;
  kj::Promise<void> fetchBlob(FetchBlobContext context) override;

 private:
  kj::UnixEventPort& port;
  kj::Timer& timer;
  kj::Array<kj::byte> certificates;

  kj::ArrayPtr<const kj::byte> trusted(schema::Registry::Reader registry);
};

}  // namespace bulkhead
