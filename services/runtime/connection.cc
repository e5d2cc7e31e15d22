// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/connection.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <capnp/message.h>
#include <kj/debug.h>

#include "services/runtime/unix-address.h"

namespace bulkhead {

using capnp::rpc::twoparty::Side;

Connection::Connection(kj::Own<kj::AsyncCapabilityStream> streamParam,
                       const ConnectionLimits& limits)
    : stream(kj::mv(streamParam)),
      network(*stream, limits.fdsPerMessage, Side::CLIENT, limits.readerOptions()),
      rpc(capnp::makeRpcClient(network)) {
  rpc.setFlowLimit(limits.inFlightBytes / sizeof(capnp::word));
}

Connection::Connection(kj::Own<kj::AsyncCapabilityStream> streamParam,
                       const ConnectionLimits& limits, capnp::Capability::Client bootstrap)
    : stream(kj::mv(streamParam)),
      network(*stream, limits.fdsPerMessage, Side::SERVER, limits.readerOptions()),
      rpc(capnp::makeRpcServer(network, kj::mv(bootstrap))) {
  rpc.setFlowLimit(limits.inFlightBytes / sizeof(capnp::word));
}

capnp::Capability::Client bootstrapOf(capnp::RpcSystem<capnp::rpc::twoparty::VatId>& rpc) {
  capnp::word scratch[4];
  memset(scratch, 0, sizeof scratch);
  capnp::MallocMessageBuilder message(scratch);
  auto vatId = message.getRoot<capnp::rpc::twoparty::VatId>();
  vatId.setSide(Side::SERVER);
  return rpc.bootstrap(vatId);
}

kj::Own<Connection> connectTo(kj::LowLevelAsyncIoProvider& provider, kj::StringPtr path,
                              const ConnectionLimits& limits) {
  int raw;
  KJ_SYSCALL(raw = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  kj::AutoCloseFd fd(raw);
  auto address = unixAddress(path);
  // Blocks only while the listener's backlog is full, which is the back-pressure wanted.
  while (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (errno == EINTR) continue;
    int error = errno;
    kj::throwFatalException(KJ_EXCEPTION(DISCONNECTED, "cannot connect", path, strerror(error)));
  }
  auto stream = provider.wrapUnixSocketFd(kj::mv(fd));
  return kj::heap<Connection>(kj::mv(stream), limits);
}

kj::Own<Connection> connectTo(kj::LowLevelAsyncIoProvider& provider, Edge edge,
                              const ConnectionLimits& limits) {
  return connectTo(provider, socketPath(edge), limits);
}

}  // namespace bulkhead
