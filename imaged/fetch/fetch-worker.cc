// SPDX-License-Identifier: Apache-2.0
#include "imaged/fetch/fetch-worker.h"

#include <kj/debug.h>

#include "services/runtime/files.h"

namespace bulkhead {
namespace {

// "registry/repository:tag", as errors name the whole.
kj::String describe(schema::ResolveRequest::Reader request) {
  auto text = kj::str(request.getRegistry().getHost(), "/", request.getRepository());
  if (request.getTag().size() > 0) text = kj::str(text, ":", request.getTag());
  if (request.getDigest().size() > 0) text = kj::str(text, "@", request.getDigest());
  return text;
}

}  // namespace

kj::ArrayPtr<const kj::byte> FetchWorkerImpl::trusted(schema::Registry::Reader registry) {
  auto own = registry.getCaBundle();
  return own.size() > 0 ? own : certificates.asPtr();
}

kj::Promise<void> FetchWorkerImpl::resolve(ResolveContext context) {
  auto request = context.getParams().getRequest();
  auto subject = describe(request);
  auto wanted = PlatformName::resolve(request.getPlatform());
  HttpClient http(port, timer, trusted(request.getRegistry()));
  RegistryClient client(http, timer, request.getRegistry(), request.getRepository());
  DocumentLimits limits;

  kj::Maybe<Digest> expected;
  if (request.getDigest().size() > 0) expected = Digest::parse(request.getDigest(), subject);
  kj::Maybe<uint64_t> expectedSize;
  kj::String expectedType;
  for (uint depth = 0; depth < limits.indexDepth; ++depth) {
    kj::String name;
    KJ_IF_MAYBE (digest, expected) {
      name = digest->toString();
    } else {
      name = kj::str(request.getTag());
    }
    auto answer =
        co_await client.getDocument(kj::str("manifests/", name), kj::str(acceptedManifestTypes()),
                                    limits.manifestBytes, kj::str(subject));
    auto got = Digest::of(answer.body);
    KJ_IF_MAYBE (digest, expected) {
      if (got != *digest) {
        fail(FailureCode::DIGEST_MISMATCH, subject,
             kj::str("the registry answers for ", *digest, " with ", got));
      }
    }
    KJ_IF_MAYBE (size, expectedSize) {
      if (answer.body.size() != *size) {
        fail(FailureCode::DIGEST_MISMATCH, subject,
             kj::str("the manifest has ", answer.body.size(), " bytes, the index says ", *size));
      }
    }
    KJ_IF_MAYBE (claimed, Digest::tryParse(answer.contentDigest)) {
      if (*claimed != got) {
        fail(FailureCode::DIGEST_MISMATCH, subject,
             kj::str("the registry says ", *claimed, " and sends ", got));
      }
    }
    auto document = parseDocument(answer.body, answer.contentType, subject, limits);
    if (document.is<Manifest>()) {
      // What the index called it and what it came as must be one thing.
      if (expectedType.size() > 0) parseDocument(answer.body, expectedType, subject, limits);
      const auto& manifest = document.get<Manifest>();
      auto config = co_await client.getDocument(kj::str("blobs/", manifest.config.digest),
                                                kj::String(), limits.configBytes, kj::str(subject));
      if (config.body.size() != manifest.config.size ||
          Digest::of(config.body) != manifest.config.digest) {
        fail(FailureCode::DIGEST_MISMATCH, subject,
             kj::str("the registry sends another configuration than ", manifest.config.digest));
      }
      auto parsed = parseImageConfig(config.body, subject, limits);
      writeResult(answer.body, manifest, config.body, parsed, wanted, subject,
                  context.getResults().initResult());
      co_return;
    }
    const auto& chosen = selectEntry(document.get<Index>(), "", wanted, subject);
    expected = chosen.descriptor.digest;
    expectedSize = chosen.descriptor.size;
    expectedType = kj::str(chosen.descriptor.mediaType);
  }
  fail(FailureCode::INVALID, subject,
       kj::str("indexes are nested more than ", limits.indexDepth, " deep"));
}

kj::Promise<void> FetchWorkerImpl::fetchBlob(FetchBlobContext context) {
  auto params = context.getParams();
  auto request = params.getRequest();
  auto digest = Digest::parse(request.getDigest(), request.getRepository());
  auto fd = co_await takeFd(params.getInto(), "blob");
  kj::Maybe<schema::ProgressSink::Client> sink;
  if (params.hasProgress()) sink = params.getProgress();
  Progress progress(timer, kj::mv(sink));
  HttpClient http(port, timer, trusted(request.getRegistry()));
  RegistryClient client(http, timer, request.getRegistry(), request.getRepository());
  auto got = co_await client.getBlob(digest, request.getSize(), fd, progress);
  context.getResults().setVerified(got.bytes());
}

}  // namespace bulkhead
