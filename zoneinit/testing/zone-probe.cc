// SPDX-License-Identifier: Apache-2.0
//
// zone-probe DOMID GREF PORT: joins the ring a zone offers and tries, in a zone without workloads
// whose root disk is xvda with busybox, what only a real zone can show: the ring itself, memory and
// process limits, the zone's own kernel. Prints a line a case; the exit code counts failures.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <capnp/rpc-twoparty.h>
#include <kj/debug.h>

#include "idmd/ring/grant-mapping.h"
#include "idmd/ring/ring-stream.h"
#include "services/runtime/failure.h"
#include "zoneinit/testing/agent-client.h"

namespace bulkhead::zone {
namespace {

using Spec = schema::WorkloadSpec::Builder;

class Probe {
 public:
  Probe(kj::WaitScope& ws, schema::ZoneAgent::Client agent) : ws(ws), client(ws, agent, "xvda") {}

  int run() {
    check("info", [&]() {
      auto response = client.agent.infoRequest().send().wait(ws);
      printf("  kernel %s, boot %.3f s, memory %lu KiB, free %lu KiB\n",
             response.getInfo().getKernelVersion().cStr(),
             static_cast<double>(response.getInfo().getBootNanoseconds()) / 1e9,
             response.getInfo().getMemoryTotalKiB(), response.getInfo().getMemoryAvailableKiB());
      return true;
    });
    check("exit code", [&]() { return client.sh("exit 42").code == 42; });
    check("output", [&]() {
      auto outcome = client.sh("uname -r; echo e >&2; id; cat /proc/1/comm; mount | head -3");
      printf("%s", outcome.output.cStr());
      return outcome.error == "e\n";
    });
    check("bulk output", [&]() {
      return client.sh("dd if=/dev/zero bs=64k count=64 2>/dev/null").output.size() == 4u << 20;
    });
    check("exec", [&]() {
      auto workload = client.create(words({"sleep", "1000"}));
      auto main = client.start(workload);
      bool inside = client
                        .exec(workload,
                              "ps | grep -q '[s]leep 1000' && test -e /bin/busybox && "
                              "! test -e /init")
                        .code == 0;
      workload.destroyRequest().send().wait(ws);
      return inside && client.finish(main).signal == SIGKILL;
    });
    check("out of memory", [&]() {
      auto outcome = client.sh("tail -c 200m /dev/zero; echo survived",
                               [](Spec s) { s.setMemoryLimitBytes(16 << 20); });
      return outcome.outOfMemory && outcome.signal == SIGKILL;
    });
    check("fork bomb", [&]() {
      auto outcome = client.sh("i=0; while [ $i -lt 100 ]; do sleep 1000 & i=$((i+1)); done",
                               [](Spec s) { s.setPidsLimit(20); });
      return outcome.error.size() > 0;
    });
    check("fork bomb without a limit", [&]() {
      auto workload = client.create(words({"sh", "-c", "f() { f | f & }; f; sleep 1000"}));
      auto main = client.start(workload);
      bool answers = client.agent.infoRequest().send().wait(ws).getInfo().hasKernelVersion();
      workload.destroyRequest().send().wait(ws);
      return answers && client.sh("exit 1").code == 1;
    });
    check("memory hog without a limit", [&]() {
      auto outcome = client.sh("tail -c 2000m /dev/zero");
      return outcome.outOfMemory || outcome.code != 0;
    });
    check("devices", [&]() {
      auto outcome = client.sh("mknod /dev/d b 202 0; cat /dev/d | wc -c; ls /dev/xen");
      return outcome.output == "0\n";
    });
    return failures;
  }

 private:
  kj::WaitScope& ws;
  AgentClient client;
  int failures = 0;

  static kj::Array<kj::StringPtr> words(std::initializer_list<kj::StringPtr> list) {
    return kj::heapArray<kj::StringPtr>(list);
  }

  template <typename Case>
  void check(const char* name, Case run) {
    bool good = false;
    kj::String error;
    try {
      good = run();
    } catch (...) {
      error = failureOf(kj::getCaughtExceptionAsKj()).describe();
    }
    if (!good) ++failures;
    printf("%s: %s %s\n", name, good ? "ok" : "FAILED", error.cStr());
    fflush(stdout);
  }
};

int probe(uint32_t domid, uint32_t grant, uint32_t remotePort) {
  auto io = kj::setupAsyncIo();
  ring::XenRingDevices devices;
  auto bound = devices.bind(domid, remotePort);
  auto mapping = devices.prepare(domid, grant, bound.port);
  ring::MappedPages pages(mapping.fd, mapping.offset, mapping.pages,
                          ring::MappedPages::Access::readWrite);
  ring::RingStream stream(kj::mv(pages), ring::Side::host,
                          ring::openEventChannel(io.unixEventPort, kj::mv(bound.fd), bound.port),
                          io.provider->getTimer());
  capnp::TwoPartyClient client(stream);
  return Probe(io.waitScope, client.bootstrap().castAs<schema::ZoneAgent>()).run();
}

}  // namespace
}  // namespace bulkhead::zone

int main(int count, char** arguments) {
  signal(SIGPIPE, SIG_IGN);
  auto number = [&](int i) { return static_cast<uint32_t>(strtoul(arguments[i], nullptr, 10)); };
  if (count == 4) return bulkhead::zone::probe(number(1), number(2), number(3));
  fputs("usage: zone-probe DOMID GREF PORT\n", stderr);
  return 2;
}
