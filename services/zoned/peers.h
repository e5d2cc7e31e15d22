// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "schemas/hypervisor.capnp.h"
#include "schemas/idm.capnp.h"
#include "schemas/image.capnp.h"
#include "schemas/network.capnp.h"
#include "services/runtime/connection.h"

namespace bulkhead {

// The four services zoned orchestrates. Each may restart at any time: see `Peer`.
struct Peers {
  explicit Peers(kj::LowLevelAsyncIoProvider& provider)
      : hypervisor(provider, Edge::hypervisor),
        images(provider, Edge::images),
        network(provider, Edge::network),
        rings(provider, Edge::rings) {}

  Peer<schema::Hypervisor> hypervisor;
  Peer<schema::ImageStore> images;
  Peer<schema::Network> network;
  Peer<schema::Router> rings;
};

}  // namespace bulkhead
