// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async-io.h>
#include <kj/timer.h>

#include "schemas/image-files.capnp.h"
#include "services/runtime/connection.h"
#include "services/runtime/failure.h"

namespace bulkhead {

// What a connection to a worker may carry: a descriptor for each layer and output.
ConnectionLimits workerLimits();

// A worker's answer. One that dies is no failure of the registry's: its parser met something it did
// not survive. `worker` is "fetch" or "unpack".
template <typename T>
kj::Promise<T> withWorker(kj::Promise<T> promise, kj::StringPtr subject, kj::StringPtr worker) {
  return promise.catch_(
      [subject = kj::str(subject), worker = kj::str(worker)](kj::Exception&& e) -> kj::Promise<T> {
        if (isDisconnected(e)) {
          return failure(FailureCode::INTERNAL, subject, kj::str("the ", worker, " worker died"),
                         "its journal says why")
              .toException();
        }
        return kj::mv(e);
      });
}

// An unpack worker that looks at files, one after the other. Started with the first call; dropping
// it ends the process.
class FileWorkerProcess {
 public:
  FileWorkerProcess(kj::LowLevelAsyncIoProvider& provider, kj::Timer& timer)
      : provider(provider), timer(timer) {}
  KJ_DISALLOW_COPY_AND_MOVE(FileWorkerProcess);

  schema::FileWorker::Client get();

  // A whole small file. A file system that does not answer holds up the worker and ends in
  // `timeout` here. `what` names the file.
  kj::Promise<kj::Array<kj::byte>> read(kj::AutoCloseFd file, size_t most, kj::StringPtr what);

  kj::Promise<void> sync(int file, kj::StringPtr subject);

  struct FileDigest {
    kj::String digest;
    uint64_t size;
  };
  // By the algorithm of the digest `like`, SHA-256 where it is empty. `progress` may be null.
  kj::Promise<FileDigest> digest(kj::AutoCloseFd file, kj::StringPtr subject, kj::StringPtr like,
                                 kj::Maybe<schema::ProgressSink::Client> progress);

 private:
  kj::LowLevelAsyncIoProvider& provider;
  kj::Timer& timer;
  kj::Own<Connection> connection;
  kj::Maybe<schema::FileWorker::Client> client;
};

}  // namespace bulkhead
