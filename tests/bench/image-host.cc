// SPDX-License-Identifier: Apache-2.0
// The part of the image benchmark that runs our own code: prints one JSON object.
//
//   image-host pull PROGRAMS STATE CONFIG REFERENCE   imaged with its workers, as they are shipped
//   image-host floor FILE gzip|zstd                   nothing but inflating and hashing a layer

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>

#include <kj/async-io.h>
#include <kj/debug.h>

#include "imaged/testing/processes.h"
#include "imaged/testing/test-image.h"
#include "imaged/unpack/decompressor.h"
#include "schemas/image.capnp.h"
#include "services/runtime/connection.h"
#include "services/runtime/failure.h"
#include "services/runtime/testing/listening-socket.h"

namespace bulkhead::bench {
namespace {

constexpr uint kWarmPulls = 20;

class Clock {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

 private:
  std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
};

int pull(kj::StringPtr programs, kj::StringPtr state, kj::StringPtr config,
         kj::StringPtr reference) {
  auto io = kj::setupAsyncIo();
  auto run = kj::str(state, "/run");
  mkdir(run.cStr(), 0700);
  kj::Vector<kj::String> environment;
  environment.add(kj::str("BULKHEAD_RUN=", run));
  environment.add(kj::str("STATE_DIRECTORY=", state));
  environment.add(kj::str("BULKHEAD_IMAGED_CONFIG=", config));
  testing::AcceptUnit fetch(kj::str(run, "/fetch.sock"), kj::str(programs, "/imaged-fetch"),
                            environment);
  testing::AcceptUnit unpack(kj::str(run, "/unpack.sock"), kj::str(programs, "/imaged-unpack"),
                             environment);
  auto socket = kj::str(run, "/imaged.sock");
  auto listener = listenAt(socket);
  testing::Program program;
  program.command.add(kj::str(programs, "/imaged"));
  program.environment = kj::mv(environment);
  program.descriptors.add(listener.get());
  program.descriptorNames = kj::str("imaged");
  testing::RunningProcess imaged(testing::start(program));

  auto connection = connectTo(*io.lowLevelProvider, socket);
  auto store = connection->bootstrap<schema::ImageStore>();
  auto once = [&](schema::PullPolicy policy) {
    Clock clock;
    auto request = store.pullRequest();
    request.setReference(reference);
    request.initOptions().setPolicy(policy);
    request.send().wait(io.waitScope);
    return clock.seconds();
  };
  double cold = once(schema::PullPolicy::IF_ABSENT);
  double warm = once(schema::PullPolicy::IF_ABSENT);
  for (uint i = 1; i < kWarmPulls; ++i) warm = kj::min(warm, once(schema::PullPolicy::IF_ABSENT));
  printf("{\"cold\": %.6f, \"warm\": %.6f}\n", cold, warm);
  return 0;
}

int floorOf(kj::StringPtr file, kj::StringPtr kind) {
  int raw;
  KJ_SYSCALL(raw = open(file.cStr(), O_RDONLY | O_CLOEXEC), file);
  kj::AutoCloseFd fd(raw);
  struct stat status;
  KJ_SYSCALL(fstat(fd, &status));
  auto buffer = kj::heapArray<kj::byte>(256u << 10);
  Clock clock;
  // The hash of the compressed bytes is not part of the floor: this source computes it all the
  // same, so the floor that is reported leaves its time out.
  BlobSource source({fd}, static_cast<uint64_t>(status.st_size), kj::str(file));
  auto decompressor = makeDecompressor(
      kind == "zstd" ? schema::Layer::Compression::ZSTD : schema::Layer::Compression::GZIP, source);
  Sha256 sum;
  uint64_t bytes = 0;
  for (;;) {
    size_t count = decompressor->read(buffer);
    if (count == 0) break;
    sum.update(buffer.slice(0, count));
    bytes += count;
  }
  sum.finish();
  double whole = clock.seconds();

  KJ_SYSCALL(lseek(fd, 0, SEEK_SET));
  Clock hashing;
  for (;;) {
    ssize_t count;
    KJ_SYSCALL(count = read(fd, buffer.begin(), buffer.size()));
    if (count == 0) break;
    sum.update(buffer.slice(0, static_cast<size_t>(count)));
  }
  printf("{\"seconds\": %.6f, \"bytes\": %llu}\n", whole - hashing.seconds(),
         static_cast<unsigned long long>(bytes));
  return 0;
}

int run(int argc, char** argv) {
  kj::StringPtr mode = argc > 1 ? argv[1] : "";
  if (mode == "pull" && argc == 6) return pull(argv[2], argv[3], argv[4], argv[5]);
  if (mode == "floor" && argc == 4) return floorOf(argv[2], argv[3]);
  fprintf(stderr,
          "usage: image-host pull PROGRAMS STATE CONFIG REFERENCE | floor FILE gzip|zstd\n");
  return 2;
}

}  // namespace
}  // namespace bulkhead::bench

int main(int argc, char** argv) {
  try {
    return bulkhead::bench::run(argc, argv);
  } catch (const kj::Exception& e) {
    fprintf(stderr, "image-host: %s\n", bulkhead::failureOf(e).describe().cStr());
    return 1;
  }
}
