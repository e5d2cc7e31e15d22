// SPDX-License-Identifier: Apache-2.0
#include "imaged/store/worker.h"

#include "schemas/image-worker.capnp.h"
#include "services/runtime/files.h"

namespace bulkhead {
namespace {

constexpr auto kReadDeadline = 30 * kj::SECONDS;

using ReadResponse = capnp::Response<schema::FileWorker::ReadResults>;
using DigestResponse = capnp::Response<schema::FileWorker::DigestResults>;

}  // namespace

ConnectionLimits workerLimits() {
  ConnectionLimits limits;
  // The limit holds for both directions.
  limits.fdsPerMessage = 250;
  limits.messageBytes = 32u << 20;
  return limits;
}

schema::FileWorker::Client FileWorkerProcess::get() {
  KJ_IF_MAYBE (present, client) {
    return *present;
  }
  connection = connectTo(provider, Edge::unpack, workerLimits());
  auto worker = connection->bootstrap<schema::UnpackWorker>()
                    .filesRequest()
                    .send()
                    .getWorker()
                    .castAs<schema::FileWorker>();
  client = worker;
  return worker;
}

kj::Promise<kj::Array<kj::byte>> FileWorkerProcess::read(kj::AutoCloseFd file, size_t most,
                                                         kj::StringPtr what) {
  auto name = kj::str(what);
  auto request = get().readRequest();
  request.setFile(makeFile(kj::mv(file)));
  request.setMost(most);
  auto late = timer.afterDelay(kReadDeadline).then([&name]() -> ReadResponse {
    fail(FailureCode::TIMEOUT, name, "the file cannot be read: its file system does not answer");
  });
  auto response = co_await withWorker(
      kj::Promise<ReadResponse>(request.send()).exclusiveJoin(kj::mv(late)), name, "unpack");
  auto bytes = response.getBytes();
  co_return kj::heapArray<kj::byte>(bytes.begin(), bytes.size());
}

kj::Promise<void> FileWorkerProcess::sync(int file, kj::StringPtr subject) {
  auto request = get().syncRequest();
  request.setFile(makeFile(duplicate(file)));
  return withWorker(request.send().ignoreResult(), subject, "unpack");
}

kj::Promise<FileWorkerProcess::FileDigest> FileWorkerProcess::digest(
    kj::AutoCloseFd file, kj::StringPtr subject, kj::StringPtr like,
    kj::Maybe<schema::ProgressSink::Client> progress) {
  auto request = get().digestRequest();
  request.setFile(makeFile(kj::mv(file)));
  request.setLike(like);
  KJ_IF_MAYBE (sink, progress) {
    request.setProgress(kj::mv(*sink));
  }
  auto response =
      co_await withWorker(kj::Promise<DigestResponse>(request.send()), subject, "unpack");
  co_return FileDigest{kj::str(response.getDigest()), response.getSize()};
}

}  // namespace bulkhead
