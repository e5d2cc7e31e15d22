// SPDX-License-Identifier: Apache-2.0
#include "services/zoned/launch-images.h"

#include "services/runtime/files.h"
#include "services/zoned/spec.h"

namespace bulkhead {
namespace {

kj::Promise<schema::Image::Client> pull(schema::ImageStore::Client store, kj::StringPtr reference,
                                        schema::PullPolicy policy, Progress& progress) {
  auto request = store.pullRequest();
  request.setReference(reference);
  request.initOptions().setPolicy(policy);
  request.setProgress(progress.forwarder());
  auto response = co_await request.send();
  co_return response.getImage();
}

class Gathering {
 public:
  Gathering(schema::ImageStore::Client store, ZoneRecord& record, Progress& progress)
      : store(kj::mv(store)), record(record), progress(progress) {}

  kj::Promise<LaunchImages> run() {
    auto parts = kj::heapArrayBuilder<kj::Promise<void>>(2);
    parts.add(fetchRoot());
    parts.add(fetchBootFiles());
    co_await kj::joinPromisesFailFast(parts.finish());
    co_return kj::mv(images);
  }

 private:
  schema::ImageStore::Client store;
  ZoneRecord& record;
  Progress& progress;
  LaunchImages images;

  kj::Promise<void> lease(schema::Image::Client image) {
    images.leases.add(image);
    auto response = co_await image.infoRequest().send();
    images.digests.add(printable(response.getInfo().getManifestDigest(), 256));
  }

  kj::Promise<void> fetchRoot() {
    auto spec = record.spec();
    auto image = co_await pull(store, spec.getImage().asReader(), spec.getPullPolicy(), progress);
    auto leased = lease(image);
    auto rootRequest = image.rootFileSystemRequest().send();
    auto config = co_await image.configRequest().send();
    capnp::MallocMessageBuilder merged;
    auto process = merged.initRoot<schema::ProcessSpec>();
    mergeProcess(spec.getImage().asReader(), config.getConfig(), spec.asReader(), record.hostname(),
                 process);
    spec.setProcess(process.asReader());
    images.stopSignal = kj::str(config.getConfig().getStopSignal());
    auto root = co_await rootRequest;
    images.root = co_await takeFd(root.getFile(), "root file system");
    co_await leased;
  }

  kj::Promise<void> fetchBootFiles() {
    auto spec = record.spec();
    auto kernelPull =
        pull(store, spec.getKernelImage().asReader(), schema::PullPolicy::IF_ABSENT, progress);
    auto names = spec.getExtensionImages().asReader();
    auto pulls = kj::heapArrayBuilder<kj::Promise<schema::Image::Client>>(names.size());
    for (auto each : names) {
      pulls.add(pull(store, each, schema::PullPolicy::IF_ABSENT, progress));
    }
    auto system = co_await pull(store, spec.getSystemImage().asReader(),
                                schema::PullPolicy::IF_ABSENT, progress);
    auto kernel = co_await kernelPull;
    auto request = store.bootFilesRequest();
    auto extensions = request.initExtensions(names.size());
    auto leased = kj::heapArrayBuilder<kj::Promise<void>>(2 + names.size());
    leased.add(lease(kernel));
    leased.add(lease(system));
    for (uint i = 0; i < names.size(); ++i) {
      auto extension = co_await pulls[i];
      extensions.set(i, extension);
      leased.add(lease(extension));
    }
    request.setKernel(kernel);
    request.setSystem(system);
    auto response = co_await request.send();
    auto files = response.getFiles();
    images.kernel = co_await takeFd(files.getKernel(), "kernel");
    images.initrd = co_await takeFd(files.getInitrd(), "initial file system");
    images.addons = co_await takeFd(files.getAddons(), "module disk");
    record.kernelVersion = printable(files.getKernelVersion(), 128);
    co_await kj::joinPromises(leased.finish());
  }
};

}  // namespace

kj::Promise<LaunchImages> gatherImages(schema::ImageStore::Client store, ZoneRecord& record,
                                       Progress& progress) {
  Gathering gathering(kj::mv(store), record, progress);
  co_return co_await gathering.run();
}

}  // namespace bulkhead
