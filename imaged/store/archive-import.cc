// SPDX-License-Identifier: Apache-2.0
#include "imaged/store/archive-import.h"

#include "imaged/store/layout-source.h"
#include "services/runtime/files.h"

namespace bulkhead {
namespace {

constexpr size_t kMostDocument = 8u << 20;

}  // namespace

// Makes files for the worker.
class ArchiveSource::Members final : public schema::ArchiveMembers::Server {
 public:
  Members(StoreDirectory& directory, kj::Own<ArchiveParts> content)
      : directory(directory), content(kj::mv(content)) {}

  kj::Promise<void> create(CreateContext context) override {
    auto name = context.getParams().getName();
    auto file = directory.stageFile();
    context.getResults().setFile(makeFile(duplicate(file->fd())));
    content->parts.upsert(kj::str(name), ArchiveParts::Part{kj::mv(file), 0, nullptr},
                          [&](auto&, auto&&) {
                            fail(FailureCode::INVALID, name, "the archive has two of this name");
                          });
    return kj::READY_NOW;
  }

  kj::Promise<void> complete(CompleteContext context) override {
    auto member = context.getParams().getMember();
    auto& part = KJ_REQUIRE_NONNULL(content->parts.find(member.getName()));
    part.size = member.getSize();
    part.digest = Digest::parse(member.getDigest(), member.getName());
    return kj::READY_NOW;
  }

 private:
  StoreDirectory& directory;
  kj::Own<ArchiveParts> content;
};

ArchiveSource::ArchiveSource(kj::LowLevelAsyncIoProvider& provider, StoreDirectory& directory,
                             FileWorkerProcess& files, const Reference& reference,
                             kj::AutoCloseFd archive, uint64_t maxBytes)
    : provider(provider),
      directory(directory),
      files(files),
      reference(reference),
      archive(kj::mv(archive)),
      maxBytes(maxBytes),
      content(kj::refcounted<ArchiveParts>()) {}

kj::Promise<kj::Array<kj::byte>> ArchiveSource::read(kj::StringPtr name, size_t most) {
  auto& part = KJ_REQUIRE_NONNULL(content->parts.find(name));
  return files.read(duplicate(part.file->fd()), most, name);
}

kj::Promise<kj::Array<kj::byte>> ArchiveSource::readBlob(const Digest& digest, size_t most) {
  for (const auto& part : content->parts) {
    KJ_IF_MAYBE (its, part.value.digest) {
      if (*its == digest) return read(part.key, most);
    }
  }
  fail(FailureCode::NOT_FOUND, digest.toString(), "the archive has no such blob");
}

kj::Promise<void> ArchiveSource::resolve(schema::ImagePlatform::Reader platform,
                                         record::ImageRecord::Builder out) {
  auto name = reference.canonical();
  {
    auto request = files.get().readArchiveRequest();
    // Only the worker may keep the pipe open: its writer has to learn when nobody reads any more.
    request.setArchive(makeFile(kj::mv(archive)));
    request.setMembers(kj::heap<Members>(directory, kj::addRef(*content)));
    request.setMaxBytes(maxBytes);
    co_await withWorker(request.send().ignoreResult(), name, "unpack");
  }
  auto connection = connectTo(provider, Edge::unpack, workerLimits());
  auto worker = connection->bootstrap<schema::UnpackWorker>();
  if (content->parts.find("index.json"_kj) != nullptr) {
    auto index = co_await read("index.json", kMostDocument);
    co_await resolveLayout(
        kj::mv(worker), kj::mv(index), kj::String(), platform, name,
        [this](const Digest& digest, size_t most) { return readBlob(digest, most); }, out);
  } else if (content->parts.find("manifest.json"_kj) != nullptr) {
    co_await resolveDocker(kj::mv(worker), platform, out);
  } else {
    fail(FailureCode::INVALID, name,
         "the archive is no image: it has neither index.json nor "
         "manifest.json",
         "make one with `skopeo copy ... oci-archive:FILE`, or `docker save`");
  }
}

kj::Promise<void> ArchiveSource::resolveDocker(schema::UnpackWorker::Client worker,
                                               schema::ImagePlatform::Reader platform,
                                               record::ImageRecord::Builder out) {
  auto name = reference.canonical();
  auto index = co_await read("manifest.json", kMostDocument);
  auto convert = files.get().dockerManifestRequest();
  convert.setIndex(index);
  kj::Vector<kj::StringPtr> complete;
  for (const auto& part : content->parts) {
    if (part.value.digest != nullptr) complete.add(part.key);
  }
  auto members = convert.initMembers(static_cast<uint>(complete.size()));
  for (uint i = 0; i < members.size(); ++i) {
    const auto& part = KJ_ASSERT_NONNULL(content->parts.find(complete[i]));
    members[i].setName(complete[i]);
    members[i].setSize(part.size);
    members[i].setDigest(KJ_ASSERT_NONNULL(part.digest).toString());
  }
  auto converted = co_await withWorker(convert.send().dropPipeline(), name, "unpack");
  auto inspect = worker.inspectRequest();
  inspect.setManifest(converted.getManifest());
  inspect.setConfig(co_await read(converted.getConfig(), kMostDocument));
  inspect.setPlatform(platform);
  auto result = co_await withWorker(inspect.send().dropPipeline(), name, "unpack");
  out.setResolved(result.getResult());
}

kj::Maybe<kj::Own<StagedFile>> ArchiveSource::take(schema::Layer::Reader layer) {
  auto digest = Digest::parse(layer.getDigest(), "archive");
  for (auto& part : content->parts) {
    KJ_IF_MAYBE (its, part.value.digest) {
      if (*its != digest || part.value.file.get() == nullptr) continue;
      if (part.value.size != layer.getSize()) {
        fail(FailureCode::DIGEST_MISMATCH, digest.toString(),
             kj::str("the archive's blob has ", part.value.size, " bytes; ", layer.getSize(),
                     " were announced"));
      }
      return kj::mv(part.value.file);
    }
  }
  return nullptr;
}

kj::Promise<void> ArchiveSource::fetch(schema::Layer::Reader layer, int,
                                       schema::ProgressSink::Client) {
  fail(FailureCode::NOT_FOUND, layer.getDigest(), "the archive has no such blob");
}

}  // namespace bulkhead
