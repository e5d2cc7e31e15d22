// SPDX-License-Identifier: Apache-2.0
// ring-echo: a guest's program that offers a ring and serves an echo agent over it, anew each time
// dom0 leaves. Static; needs /dev/xen/{gntalloc,evtchn,xenbus}.
#include <stdio.h>

#include <capnp/rpc-twoparty.h>
#include <kj/async-io.h>

#include "idmd/bench/echo-agent.h"
#include "idmd/ring/guest-offer.h"

int main() {
  auto io = kj::setupAsyncIo();
  bulkhead::GuestOffer offer(io.unixEventPort, io.provider->getTimer(),
                             bulkhead::GuestDevices::open());
  for (;;) {
    auto stream = offer.offer().wait(io.waitScope);
    puts("ring-echo: offered");
    fflush(stdout);
    capnp::TwoPartyServer server(bulkhead::bench::makeEchoAgent());
    try {
      server.accept(*stream).wait(io.waitScope);
    } catch (...) {
      puts(kj::getCaughtExceptionAsKj().getDescription().cStr());
    }
    puts("ring-echo: dom0 left");
    fflush(stdout);
  }
}
