// SPDX-License-Identifier: Apache-2.0
#include "imaged/store/layout-source.h"

#include "services/runtime/files.h"

namespace bulkhead {
namespace {

constexpr size_t kMostManifest = 4u << 20;
constexpr size_t kMostConfig = 8u << 20;
constexpr uint kMostNesting = 4;

bool isConfiguration(kj::StringPtr mediaType) {
  return mediaType.startsWith("application/vnd.oci.image.config.") ||
         mediaType.startsWith("application/vnd.docker.container.image.");
}

}  // namespace

// Index, perhaps further indexes, then the manifest and where its configuration is.
kj::Promise<void> resolveLayout(schema::UnpackWorker::Client worker, kj::Array<kj::byte> document,
                                kj::String tag, schema::ImagePlatform::Reader platform,
                                kj::StringPtr name, DocumentReader read,
                                record::ImageRecord::Builder out) {
  for (uint depth = 0; depth <= kMostNesting; ++depth) {
    auto request = worker.inspectIndexRequest();
    request.setIndex(document);
    request.setTag(tag);
    request.setPlatform(platform);
    auto response = co_await withWorker(request.send().dropPipeline(), name, "unpack");
    auto digest = Digest::parse(response.getDigest(), name);
    tag = kj::String();
    bool config = isConfiguration(response.getMediaType());
    if (response.getSize() > (config ? kMostConfig : kMostManifest)) {
      fail(FailureCode::EXHAUSTED, name, kj::str("the document ", digest, " is too large"));
    }
    auto next = co_await read(digest, response.getSize());
    if (!config) {
      document = kj::mv(next);
      continue;
    }
    auto inspect = worker.inspectRequest();
    inspect.setManifest(document);
    inspect.setConfig(next);
    inspect.setPlatform(platform);
    auto result = co_await withWorker(inspect.send().dropPipeline(), name, "unpack");
    out.setResolved(result.getResult());
    co_return;
  }
  fail(FailureCode::INVALID, name, kj::str("indexes are nested more than ", kMostNesting, " deep"));
}

kj::Promise<void> LayoutSource::resolve(schema::ImagePlatform::Reader platform,
                                        record::ImageRecord::Builder out) {
  auto name = reference.canonical();
  auto connection = connectTo(provider, Edge::unpack, workerLimits());
  auto index = co_await layout.index(files);
  co_await resolveLayout(
      connection->bootstrap<schema::UnpackWorker>(), kj::mv(index), kj::str(reference.tag),
      platform, name,
      [this](const Digest& digest, size_t most) { return layout.document(files, digest, most); },
      out);
}

kj::Promise<void> LayoutSource::fetch(schema::Layer::Reader layer, int into,
                                      schema::ProgressSink::Client progress) {
  auto digest = Digest::parse(layer.getDigest(), "layout");
  auto from = co_await layout.blob(digest);
  auto request = files.get().copyRequest();
  request.setFrom(makeFile(kj::mv(from)));
  request.setInto(makeFile(duplicate(into)));
  request.setDigest(layer.getDigest());
  request.setSize(layer.getSize());
  request.setProgress(kj::mv(progress));
  co_await withWorker(request.send().ignoreResult(), digest.toString(), "unpack");
}

}  // namespace bulkhead
