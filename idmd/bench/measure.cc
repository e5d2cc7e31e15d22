// SPDX-License-Identifier: Apache-2.0
#include "idmd/bench/measure.h"

#include <stdio.h>
#include <time.h>

#include <algorithm>

#include <kj/debug.h>
#include <kj/vector.h>

#include "idmd/bench/echo-agent.h"

namespace bulkhead::bench {
namespace {

constexpr int kEchoes = 2000;

// The loop's own clock is coarse.
double microseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

class Sink final : public schema::ByteStream::Server {
 public:
  kj::Promise<void> write(WriteContext) override { return kj::READY_NOW; }
  kj::Promise<void> end(EndContext) override { return kj::READY_NOW; }
};

kj::Promise<void> sendStream(schema::ByteStream::Client into) {
  auto chunk = kj::heapArray<kj::byte>(kChunkBytes);
  memset(chunk.begin(), 'y', chunk.size());
  for (uint64_t sent = 0; sent < kStreamBytes; sent += chunk.size()) {
    auto request = into.writeRequest();
    request.setBytes(chunk);
    co_await request.send();
  }
  co_await into.endRequest().send();
}

}  // namespace

schema::ByteStream::Client makeSink() { return kj::heap<Sink>(); }

void measure(kj::WaitScope& waitScope, schema::ZoneAgent::Client agent,
             schema::ByteStream::Client sink, kj::StringPtr name) {
  double start = microseconds();
  agent.infoRequest().send().wait(waitScope);
  double first = microseconds() - start;

  kj::Vector<double> echoes;
  for (int i = 0; i < kEchoes; ++i) {
    start = microseconds();
    agent.infoRequest().send().wait(waitScope);
    echoes.add(microseconds() - start);
  }
  std::sort(echoes.begin(), echoes.end());

  start = microseconds();
  auto events = agent.watchKernelEventsRequest();
  events.setSink(kj::mv(sink));
  events.send().wait(waitScope);
  double fromZone = static_cast<double>(kStreamBytes) / (microseconds() - start);

  auto input = agent.createWorkloadRequest()
                   .send()
                   .getWorkload()
                   .processRequest()
                   .send()
                   .getProcess()
                   .stdinRequest()
                   .send()
                   .getStream();
  start = microseconds();
  sendStream(kj::mv(input)).wait(waitScope);
  double toZone = static_cast<double>(kStreamBytes) / (microseconds() - start);

  printf(
      "{\"name\": \"%s\", \"first_call_us\": %.0f, \"echo_median_us\": %.1f, \"echo_p99_us\": "
      "%.1f, "
      "\"from_zone_mb_s\": %.0f, \"to_zone_mb_s\": %.0f}\n",
      name.cStr(), first, echoes[kEchoes / 2], echoes[kEchoes * 99 / 100], fromZone, toZone);
  fflush(stdout);
}

}  // namespace bulkhead::bench
