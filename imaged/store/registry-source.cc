// SPDX-License-Identifier: Apache-2.0
#include "imaged/store/registry-source.h"

#include "services/runtime/files.h"

namespace bulkhead {

RegistrySource::RegistrySource(kj::LowLevelAsyncIoProvider& provider, const ImagedConfig& config,
                               const Reference& reference,
                               schema::Credentials::Reader credentialsParam)
    : provider(provider), config(config), reference(reference), name(reference.canonical()) {
  credentials.setRoot(credentialsParam);
}

schema::FetchWorker::Client RegistrySource::worker() {
  if (connection.get() == nullptr) connection = connectTo(provider, Edge::fetch, workerLimits());
  return connection->bootstrap<schema::FetchWorker>();
}

void RegistrySource::describeRegistry(schema::Registry::Builder out) {
  config.describeRegistry(reference, out);
  auto own = credentials.getRoot<schema::Credentials>().asReader();
  if (!own.isNone()) out.setCredentials(own);
}

void RegistrySource::describeBlob(schema::Layer::Reader layer, schema::BlobRequest::Builder out) {
  describeRegistry(out.initRegistry());
  out.setRepository(reference.repository);
  out.setDigest(layer.getDigest());
  out.setSize(layer.getSize());
}

kj::Promise<void> RegistrySource::resolve(schema::ImagePlatform::Reader platform,
                                          record::ImageRecord::Builder out) {
  auto request = worker().resolveRequest();
  auto wanted = request.initRequest();
  describeRegistry(wanted.initRegistry());
  config.describeSignatures(reference, wanted.initSignatures());
  wanted.setRepository(reference.repository);
  KJ_IF_MAYBE (digest, reference.digest) {
    wanted.setDigest(digest->toString());
  } else {
    wanted.setTag(reference.tag);
  }
  wanted.setPlatform(platform);
  auto response = co_await withWorker(request.send().dropPipeline(), name, "fetch");
  out.setResolved(response.getResult());
}

kj::Promise<bool> RegistrySource::allows(schema::Layer::Reader layer,
                                         ImageIndex::Standing standing) {
  switch (standing) {
    case ImageIndex::Standing::absent:
    case ImageIndex::Standing::stranger:
      // Another registry's word is its own: only the bytes themselves would prove anything.
      co_return false;
    case ImageIndex::Standing::sameRepository:
      // The manifest that names the layer was given to us just now, from there.
      co_return true;
    case ImageIndex::Standing::sameRegistry:
      break;
  }
  auto request = worker().fetchBlobRequest();
  describeBlob(layer, request.initRequest());
  bool refused = false;
  try {
    co_await withWorker(request.send().ignoreResult(), name, "fetch");
  } catch (...) {
    // Fetching the layer will tell what is wrong, in the registry's own words.
    refused = true;
  }
  co_return !refused;
}

kj::Promise<void> RegistrySource::fetch(schema::Layer::Reader layer, int into,
                                        schema::ProgressSink::Client progress) {
  auto request = worker().fetchBlobRequest();
  describeBlob(layer, request.initRequest());
  request.setInto(makeFile(duplicate(into)));
  request.setProgress(kj::mv(progress));
  auto response = co_await withWorker(request.send().dropPipeline(), name, "fetch");
  auto expected = Digest::parse(layer.getDigest(), name);
  if (response.getVerified() != expected.bytes()) {
    fail(FailureCode::DIGEST_MISMATCH, name, kj::str("the blob ", expected, " is another one"));
  }
}

}  // namespace bulkhead
