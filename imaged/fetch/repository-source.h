// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "imaged/fetch/registry-client.h"

namespace bulkhead {

// One repository, wherever it can be had: at the mirrors of its registry, in their order, then at
// the registry itself. What one does not have, does not give or does not answer is asked of the
// next; what one gives wrong is an error, and ends the matter.
class RepositorySource {
 public:
  // As RegistryClient.
  RepositorySource(HttpClient& http, kj::Timer& timer, schema::Registry::Reader registry,
                   kj::StringPtr repository, kj::ArrayPtr<const kj::byte> systemCertificates);
  KJ_DISALLOW_COPY_AND_MOVE(RepositorySource);

  // As RegistryClient; the arguments live until the promise resolves.
  kj::Promise<RegistryClient::Answer> getDocument(kj::StringPtr path, kj::StringPtr accept,
                                                  size_t most, kj::StringPtr subject);
  kj::Promise<void> getBlob(BlobDownload& blob);

  // Asks the registry itself and no mirror: what it allows is what counts.
  kj::Promise<void> requireBlob(Digest digest) { return clients.back()->requireBlob(digest); }

 private:
  kj::Vector<kj::Own<RegistryClient>> clients;  // the registry itself is the last

  class Attempts;
};

}  // namespace bulkhead
