// SPDX-License-Identifier: Apache-2.0
#include "imaged/fetch/repository-source.h"

#include <kj/debug.h>

namespace bulkhead {
namespace {

constexpr uint kMostMirrors = 16;

// Whether another registry may do better. A wrong digest or a malformed answer is not hidden by
// asking somebody else.
bool isForNext(FailureCode code) {
  switch (code) {
    case FailureCode::NOT_FOUND:
    case FailureCode::UNREACHABLE:
    case FailureCode::UNAUTHENTICATED:
    case FailureCode::TIMEOUT:
      return true;
    default:
      return false;
  }
}

}  // namespace

// What went wrong so far.
class RepositorySource::Attempts {
 public:
  // Throws what is final, with what the mirrors said before.
  void failed(const RegistryClient& client, const kj::Exception& exception, bool last) {
    auto problem = failureOf(exception);
    if (!isForNext(problem.code) || (last && mirrors.size() == 0)) {
      kj::throwFatalException(kj::cp(exception));
    }
    if (!last) {
      mirrors.add(kj::str("mirror ", client.host(), ": ", problem.message));
      return;
    }
    fail(problem.code, problem.subject, kj::str(problem.message, "; ", kj::strArray(mirrors, "; ")),
         problem.hint);
  }

 private:
  kj::Vector<kj::String> mirrors;
};

RepositorySource::RepositorySource(HttpClient& http, kj::Timer& timer,
                                   schema::Registry::Reader registry, kj::StringPtr repository,
                                   kj::ArrayPtr<const kj::byte> systemCertificates) {
  KJ_REQUIRE(registry.getMirrors().size() <= kMostMirrors);
  for (auto mirror : registry.getMirrors()) {
    clients.add(kj::heap<RegistryClient>(http, timer, mirror, repository, systemCertificates));
  }
  clients.add(kj::heap<RegistryClient>(http, timer, registry, repository, systemCertificates));
}

kj::Promise<RegistryClient::Answer> RepositorySource::getDocument(kj::StringPtr path,
                                                                  kj::StringPtr accept, size_t most,
                                                                  kj::StringPtr subject) {
  Attempts attempts;
  for (auto& client : clients) {
    try {
      co_return co_await client->getDocument(path, accept, most, subject);
    } catch (...) {
      attempts.failed(*client, kj::getCaughtExceptionAsKj(), &client == &clients.back());
    }
  }
  KJ_UNREACHABLE;
}

kj::Promise<void> RepositorySource::getBlob(BlobDownload& blob) {
  Attempts attempts;
  for (auto& client : clients) {
    try {
      co_await client->getBlob(blob);
      co_return;
    } catch (...) {
      attempts.failed(*client, kj::getCaughtExceptionAsKj(), &client == &clients.back());
    }
  }
  KJ_UNREACHABLE;
}

}  // namespace bulkhead
