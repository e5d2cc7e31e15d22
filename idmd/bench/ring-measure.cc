// SPDX-License-Identifier: Apache-2.0
// ring-measure SOCKET DOMID GREF PORT: joins a guest's ring through idmd and measures it.
// ring-measure --memory: the same between two processes over plain shared memory, without Xen.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <capnp/rpc-twoparty.h>

#include "idmd/bench/echo-agent.h"
#include "idmd/bench/measure.h"
#include "idmd/ring/ring-stream.h"
#include "idmd/ring/ring-testing.h"
#include "schemas/idm.capnp.h"
#include "services/runtime/connection.h"
#include "services/runtime/files.h"
#include "services/runtime/uuid.h"

namespace bulkhead::bench {
namespace {

kj::Own<ring::RingStream> join(kj::AsyncIoContext& io, ring::TestMemory& memory, ring::Side side,
                               kj::AutoCloseFd& events) {
  return kj::heap<ring::RingStream>(memory.map(), side,
                                    ring::openEventChannel(io.unixEventPort, kj::mv(events), 1),
                                    io.provider->getTimer());
}

int overMemory() {
  ring::TestMemory memory;
  ring::TestEvents events;
  pid_t child = fork();
  if (child == 0) {
    events.host = nullptr;
    auto io = kj::setupAsyncIo();
    auto stream = join(io, memory, ring::Side::guest, events.guest);
    capnp::TwoPartyServer server(makeEchoAgent());
    server.accept(*stream).wait(io.waitScope);
    _exit(0);
  }
  events.guest = nullptr;
  auto io = kj::setupAsyncIo();
  {
    auto stream = join(io, memory, ring::Side::host, events.host);
    capnp::TwoPartyClient client(*stream);
    measure(io.waitScope, client.bootstrap().castAs<schema::ZoneAgent>(), makeSink(), "memory");
  }
  waitpid(child, nullptr, 0);
  return 0;
}

int overXen(kj::StringPtr socket, uint32_t domid, uint32_t grant, uint32_t port) {
  auto io = kj::setupAsyncIo();
  auto connection = connectTo(*io.lowLevelProvider, socket);
  auto request = connection->bootstrap<schema::Router>().attachRequest();
  auto zone = Uuid::random();
  request.setZone(zone.data());
  auto offer = request.initOffer();
  offer.setDomid(domid);
  offer.setGref(grant);
  offer.setEventPort(port);
  offer.setEpoch(1);
  auto link = request.send().wait(io.waitScope).getLink();
  auto agent = link.agentRequest().send().wait(io.waitScope).getAgent();
  measure(io.waitScope, agent, makeSink(), "xen, through idmd");

  auto writer = link.writerRequest();
  int raw;
  KJ_SYSCALL(raw = open("/dev/null", O_WRONLY | O_CLOEXEC));
  writer.setFile(makeFile(kj::AutoCloseFd(raw)));
  measure(io.waitScope, agent, writer.send().getStream(), "xen, output to a descriptor");
  return 0;
}

}  // namespace
}  // namespace bulkhead::bench

int main(int count, char** arguments) {
  signal(SIGPIPE, SIG_IGN);
  auto number = [&](int i) { return static_cast<uint32_t>(strtoul(arguments[i], nullptr, 10)); };
  if (count == 2 && strcmp(arguments[1], "--memory") == 0) return bulkhead::bench::overMemory();
  if (count == 5) return bulkhead::bench::overXen(arguments[1], number(2), number(3), number(4));
  fputs("usage: ring-measure --memory | SOCKET DOMID GREF PORT\n", stderr);
  return 2;
}
