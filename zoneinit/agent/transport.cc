// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/agent/transport.h"

#include "idmd/ring/guest-offer.h"

namespace bulkhead::zone {
namespace {

class RingTransport final : public Transport {
 public:
  RingTransport(kj::UnixEventPort& eventPort, kj::Timer& timer)
      : offer(eventPort, timer, GuestDevices::open()) {}

  kj::Promise<kj::Own<kj::AsyncIoStream>> accept() override { return offer.offer(); }

 private:
  GuestOffer offer;
};

class SocketTransport final : public Transport {
 public:
  SocketTransport(kj::LowLevelAsyncIoProvider& provider, kj::AutoCloseFd listener)
      : receiver(provider.wrapListenSocketFd(kj::mv(listener))) {}

  kj::Promise<kj::Own<kj::AsyncIoStream>> accept() override { return receiver->accept(); }

 private:
  kj::Own<kj::ConnectionReceiver> receiver;
};

}  // namespace

kj::Own<Transport> ringTransport(kj::UnixEventPort& eventPort, kj::Timer& timer) {
  return kj::heap<RingTransport>(eventPort, timer);
}

kj::Own<Transport> socketTransport(kj::LowLevelAsyncIoProvider& provider,
                                   kj::AutoCloseFd listener) {
  return kj::heap<SocketTransport>(provider, kj::mv(listener));
}

}  // namespace bulkhead::zone
