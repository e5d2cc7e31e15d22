// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/map.h>

#include "imaged/documents.h"
#include "imaged/fetch/repository-source.h"

namespace bulkhead {

// Serves one connection: one pull. Its calls share connections, HTTP/2 streams and tokens.
class FetchWorkerImpl final : public schema::FetchWorker::Server {
 public:
  // `certificates`: the system's trusted roots, as PEM.
  FetchWorkerImpl(kj::UnixEventPort& port, kj::Timer& timer, kj::Array<kj::byte> certificates)
      : timer(timer), certificates(kj::mv(certificates)), http(port, timer) {}

  kj::Promise<void> resolve(ResolveContext context) override;
  kj::Promise<void> fetchBlob(FetchBlobContext context) override;

 private:
  kj::Timer& timer;
  kj::Array<kj::byte> certificates;
  HttpClient http;
  // By all that a request depends on.
  kj::HashMap<kj::String, kj::Own<RepositorySource>> sources;

  RepositorySource& sourceOf(schema::Registry::Reader registry, kj::StringPtr repository);
  struct Walk;
  kj::Promise<void> walk(RepositorySource& source, Walk& walk);
};

}  // namespace bulkhead
