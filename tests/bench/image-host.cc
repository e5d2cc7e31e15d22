// SPDX-License-Identifier: Apache-2.0
// The part of the image benchmark that runs our own code: prints one JSON object.
//
//   image-host pull PROGRAMS STATE CONFIG REFERENCE...
//     imaged with its workers, as they are shipped
//
//   image-host floor FILE gzip|zstd
//     nothing but inflating and hashing a layer

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

// Cold: all of them, one after the other; warm: the best of many times the last one.
int pull(kj::StringPtr programs, kj::StringPtr state, kj::StringPtr config,
         kj::ArrayPtr<char* const> references) {
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
  // The service runs before anybody pulls; its start is not what is measured.
  store.listRequest().send().wait(io.waitScope);
  auto once = [&](kj::StringPtr reference) {
    Clock clock;
    auto request = store.pullRequest();
    request.setReference(reference);
    request.initOptions().setPolicy(schema::PullPolicy::IF_ABSENT);
    request.send().wait(io.waitScope);
    return clock.seconds();
  };
  double cold = 0;
  for (const char* reference : references) cold += once(reference);
  double warm = once(references.back());
  for (uint i = 1; i < kWarmPulls; ++i) warm = kj::min(warm, once(references.back()));
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
  printf("{\"seconds\": %.6f, \"bytes\": %llu}\n", clock.seconds(),
         static_cast<unsigned long long>(bytes));
  return 0;
}

int run(int argc, char** argv) {
  kj::StringPtr mode = argc > 1 ? argv[1] : "";
  if (mode == "pull" && argc >= 6) {
    auto all = kj::arrayPtr(argv, static_cast<size_t>(argc));
    return pull(argv[2], argv[3], argv[4], all.slice(5, all.size()));
  }
  if (mode == "floor" && argc == 4) return floorOf(argv[2], argv[3]);
  fprintf(stderr,
          "usage: image-host pull PROGRAMS STATE CONFIG REFERENCE... | floor FILE gzip|zstd\n");
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
