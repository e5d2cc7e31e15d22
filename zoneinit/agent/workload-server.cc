// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/agent/workload-server.h"

#include <array>

#include "services/runtime/failure.h"
#include "zoneinit/agent/file-transfer.h"
#include "zoneinit/agent/process-server.h"
#include "zoneinit/runtime/log-reader.h"
#include "zoneinit/runtime/wall-clock.h"

namespace bulkhead::zone {
namespace {

// A timer counts in 63 bits.
constexpr uint64_t kLongestWait = uint64_t{24} * 3600 * 1'000'000'000;

LogSelection readSelection(schema::LogOptions::Reader options) {
  LogSelection selection;
  selection.tailLines = options.getTailLines();
  selection.since = options.getSinceUnixNanoseconds();
  if (options.getUntilUnixNanoseconds() != 0) selection.until = options.getUntilUnixNanoseconds();
  if (options.getTimestamps()) selection.stamps = LineStamps::rfc3339;
  return selection;
}

class WorkloadServer final : public schema::Workload::Server {
 public:
  WorkloadServer(kj::Own<Container> container, kj::Function<void(kj::StringPtr)> onDestroyed)
      : container(kj::mv(container)), onDestroyed(kj::mv(onDestroyed)) {}

  kj::Promise<void> start(StartContext context) override {
    auto stdio = context.getParams().getStdio();
    auto process = co_await container->start(readSinks(stdio), readInputMode(stdio));
    context.getResults().setProcess(makeProcessServer(kj::mv(process)));
  }

  kj::Promise<void> process(ProcessContext context) override {
    context.getResults().setProcess(makeProcessServer(container->process()));
    return kj::READY_NOW;
  }

  kj::Promise<void> exec(ExecContext context) override {
    auto params = context.getParams();
    auto process =
        co_await container->execute(readProcessSpec(params.getSpec()), readSinks(params.getStdio()),
                                    readInputMode(params.getStdio()));
    context.getResults().setProcess(makeProcessServer(kj::mv(process)));
  }

  kj::Promise<void> logs(LogsContext context) override {
    auto held = kj::addRef(*container);
    auto params = context.getParams();
    bool follow = params.getOptions().getFollow();
    auto selection = readSelection(params.getOptions());
    std::array<kj::Maybe<schema::ByteStream::Client>, 2> sinks;
    if (params.hasStdout()) sinks[0] = params.getStdout();
    if (params.hasStderr()) sinks[1] = params.getStderr();
    auto& ring = held->log();
    LogReader reader(ring, selection);
    for (;;) {
      KJ_IF_MAYBE (piece, reader.next()) {
        KJ_IF_MAYBE (sink, sinks[static_cast<size_t>(piece->stream)]) {
          auto request = sink->writeRequest();
          request.setBytes(piece->bytes);
          co_await request.send();
        }
      } else {
        auto now = unixNanoseconds();
        if (!follow || ring.closed() || now > selection.until) break;
        auto more = ring.whenBeyond(reader.end());
        // No line that begins later is wanted, and what follows of one that began before is not
        // waited for.
        if (selection.until != UINT64_MAX) {
          auto left = kj::min(selection.until - now + 1, kLongestWait) * kj::NANOSECONDS;
          more = more.exclusiveJoin(held->timer().afterDelay(left));
        }
        co_await more;
      }
    }
    for (auto& each : sinks) {
      KJ_IF_MAYBE (sink, each) {
        co_await sink->endRequest().send().ignoreResult();
      }
    }
  }

  kj::Promise<void> stop(StopContext context) override {
    auto grace = context.getParams().getGraceMilliseconds() * kj::MILLISECONDS;
    auto status = co_await container->stop(grace);
    fillExitStatus(context.getResults().getStatus(), status);
  }

  kj::Promise<void> destroy(DestroyContext) override {
    if (container->destroyed()) co_return;
    co_await container->destroy();
    onDestroyed(container->id());
  }

  kj::Promise<void> putFiles(PutFilesContext context) override {
    auto archive =
        co_await zone::putFiles(kj::addRef(*container), context.getParams().getDirectory());
    context.getResults().setArchive(kj::mv(archive));
  }

  kj::Promise<void> getFiles(GetFilesContext context) override {
    auto params = context.getParams();
    co_await zone::getFiles(kj::addRef(*container), params.getPath(), params.getInto());
  }

 private:
  kj::Own<Container> container;
  kj::Function<void(kj::StringPtr)> onDestroyed;
};

}  // namespace

schema::Workload::Client makeWorkloadServer(kj::Own<Container> container,
                                            kj::Function<void(kj::StringPtr)> onDestroyed) {
  return kj::heap<WorkloadServer>(kj::mv(container), kj::mv(onDestroyed));
}

}  // namespace bulkhead::zone
