// SPDX-License-Identifier: Apache-2.0
#include "idmd/bench/echo-agent.h"

namespace bulkhead::bench {
namespace {

class Sink final : public schema::ByteStream::Server {
 public:
  kj::Promise<void> write(WriteContext) override { return kj::READY_NOW; }
  kj::Promise<void> end(EndContext) override { return kj::READY_NOW; }
};

class EchoProcess final : public schema::Process::Server {
 public:
  kj::Promise<void> stdin(StdinContext context) override {
    context.getResults().setStream(kj::heap<Sink>());
    return kj::READY_NOW;
  }
};

class EchoWorkload final : public schema::Workload::Server {
 public:
  kj::Promise<void> process(ProcessContext context) override {
    context.getResults().setProcess(kj::heap<EchoProcess>());
    return kj::READY_NOW;
  }
};

class EchoAgent final : public schema::ZoneAgent::Server {
 public:
  kj::Promise<void> info(InfoContext context) override {
    context.getResults().initInfo().setAgentVersion("echo");
    return kj::READY_NOW;
  }

  kj::Promise<void> createWorkload(CreateWorkloadContext context) override {
    context.getResults().setWorkload(kj::heap<EchoWorkload>());
    return kj::READY_NOW;
  }

  kj::Promise<void> watchKernelEvents(WatchKernelEventsContext context) override {
    auto sink = context.getParams().getSink();
    auto chunk = kj::heapArray<kj::byte>(kChunkBytes);
    memset(chunk.begin(), 'x', chunk.size());
    for (uint64_t sent = 0; sent < kStreamBytes; sent += chunk.size()) {
      auto request = sink.writeRequest();
      request.setBytes(chunk);
      co_await request.send();
    }
    co_await sink.endRequest().send();
  }
};

}  // namespace

schema::ZoneAgent::Client makeEchoAgent() { return kj::heap<EchoAgent>(); }

}  // namespace bulkhead::bench
