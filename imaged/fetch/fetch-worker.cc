// SPDX-License-Identifier: Apache-2.0
#include "imaged/fetch/fetch-worker.h"

#include <capnp/serialize.h>
#include <kj/debug.h>

#include "imaged/fetch/signature-check.h"
#include "services/runtime/files.h"

namespace bulkhead {
namespace {

// One pull has one repository; whoever asks for this many does something else.
constexpr size_t kMostSources = 16;

// "registry/repository:tag", as errors name the whole.
kj::String describe(schema::ResolveRequest::Reader request) {
  auto text = kj::str(request.getRegistry().getHost(), "/", request.getRepository());
  if (request.getTag().size() > 0) text = kj::str(text, ":", request.getTag());
  if (request.getDigest().size() > 0) text = kj::str(text, "@", request.getDigest());
  return text;
}

}  // namespace

RepositorySource& FetchWorkerImpl::sourceOf(schema::Registry::Reader registry,
                                            kj::StringPtr repository) {
  capnp::MallocMessageBuilder copy;
  copy.setRoot(registry);
  auto key = kj::str(repository, " ", Digest::of(capnp::messageToFlatArray(copy).asBytes()));
  KJ_IF_MAYBE (known, sources.find(key)) {
    return **known;
  }
  KJ_REQUIRE(sources.size() < kMostSources, "too many repositories for one connection");
  http.limitRate(registry.getBytesPerSecond());
  auto source = kj::heap<RepositorySource>(http, timer, registry, repository, certificates);
  return *sources.insert(kj::mv(key), kj::mv(source)).value;
}

// From a name to the manifest of one platform.
struct FetchWorkerImpl::Walk {
  kj::String subject;
  PlatformName wanted;
  DocumentLimits limits;
  kj::String name;             // of the next document: a tag or a digest
  kj::Maybe<Digest> expected;  // its digest, once something names it
  kj::Maybe<uint64_t> size;    // and its size
  kj::String type;             // and its media type
  kj::Vector<Digest> chain;    // of the documents so far
  kj::Array<kj::byte> body;    // the manifest
  kj::Maybe<Manifest> manifest;

  void check(const RegistryClient::Answer& answer);
};

void FetchWorkerImpl::Walk::check(const RegistryClient::Answer& answer) {
  KJ_IF_MAYBE (digest, expected) {
    if (!digest->names(answer.body)) {
      fail(FailureCode::DIGEST_MISMATCH, subject,
           kj::str("the registry answers for ", *digest, " with ",
                   Digest::of(answer.body, digest->algorithm())));
    }
  }
  KJ_IF_MAYBE (bytes, size) {
    if (answer.body.size() != *bytes) {
      fail(FailureCode::DIGEST_MISMATCH, subject,
           kj::str("the manifest has ", answer.body.size(), " bytes, the index says ", *bytes));
    }
  }
  // Never believed, but a registry that contradicts itself is not served either.
  KJ_IF_MAYBE (claimed, Digest::tryParse(answer.contentDigest)) {
    if (!claimed->names(answer.body)) {
      fail(FailureCode::DIGEST_MISMATCH, subject,
           kj::str("the registry says ", *claimed, " and sends ",
                   Digest::of(answer.body, claimed->algorithm())));
    }
  }
}

kj::Promise<void> FetchWorkerImpl::walk(RepositorySource& source, Walk& walk) {
  for (uint depth = 0; depth < walk.limits.indexDepth; ++depth) {
    auto path = kj::str("manifests/", walk.name);
    auto answer = co_await source.getDocument(path, acceptedManifestTypes(),
                                              walk.limits.manifestBytes, walk.subject);
    walk.check(answer);
    KJ_IF_MAYBE (digest, walk.expected) {
      walk.chain.add(*digest);
    } else {
      walk.chain.add(Digest::of(answer.body));
    }
    auto document = parseDocument(answer.body, answer.contentType, walk.subject, walk.limits);
    if (document.is<Manifest>()) {
      // What the index called it and what it came as must be one thing.
      if (walk.type.size() > 0) parseDocument(answer.body, walk.type, walk.subject, walk.limits);
      walk.body = kj::mv(answer.body);
      walk.manifest = kj::mv(document.get<Manifest>());
      co_return;
    }
    const auto& chosen = selectEntry(document.get<Index>(), "", walk.wanted, walk.subject);
    walk.name = chosen.descriptor.digest.toString();
    walk.expected = chosen.descriptor.digest;
    walk.size = chosen.descriptor.size;
    walk.type = kj::str(chosen.descriptor.mediaType);
  }
  fail(FailureCode::INVALID, walk.subject,
       kj::str("indexes are nested more than ", walk.limits.indexDepth, " deep"));
}

kj::Promise<void> FetchWorkerImpl::resolve(ResolveContext context) {
  auto request = context.getParams().getRequest();
  Walk state;
  state.subject = describe(request);
  state.wanted = PlatformName::resolve(request.getPlatform());
  state.name = kj::str(request.getTag());
  if (request.getDigest().size() > 0) {
    auto digest = Digest::parse(request.getDigest(), state.subject);
    state.expected = digest;
    state.name = digest.toString();
  }
  auto& source = sourceOf(request.getRegistry(), request.getRepository());
  auto repository = kj::str(request.getRegistry().getHost(), "/", request.getRepository());
  SignatureCheck signatures(request.getSignatures(), source, repository, state.subject);

  co_await walk(source, state);
  auto out = context.getResults().initResult();
  co_await signatures.run(state.chain, out.initSignature());
  const auto& manifest = KJ_ASSERT_NONNULL(state.manifest);
  auto path = kj::str("blobs/", manifest.config.digest);
  auto config = co_await source.getDocument(path, "", state.limits.configBytes, state.subject);
  if (config.body.size() != manifest.config.size || !manifest.config.digest.names(config.body)) {
    fail(FailureCode::DIGEST_MISMATCH, state.subject,
         kj::str("the registry sends another configuration than ", manifest.config.digest));
  }
  auto parsed = parseImageConfig(config.body, state.subject, state.limits);
  writeResult(state.body, manifest, config.body, parsed, state.wanted, state.subject, out);
}

kj::Promise<void> FetchWorkerImpl::fetchBlob(FetchBlobContext context) {
  auto params = context.getParams();
  auto request = params.getRequest();
  auto digest = Digest::parse(request.getDigest(), request.getRepository());
  auto& source = sourceOf(request.getRegistry(), request.getRepository());
  if (!params.hasInto()) {
    co_await source.requireBlob(digest);
    co_return;
  }
  auto fd = co_await takeFd(params.getInto(), "blob");
  Progress progress(timer, progressSinkOf(params));
  BlobDownload blob(digest, request.getSize(), fd, progress);
  co_await source.getBlob(blob);
  context.getResults().setVerified(digest.bytes());
}

}  // namespace bulkhead
