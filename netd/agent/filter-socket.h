// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "netd/addresses.h"
#include "services/netlink/netlink-socket.h"

namespace bulkhead::net {

// What one vif may send.
struct Sender {
  kj::String vif;
  MacAddress mac;
  kj::Array<IpAddress> addresses;
};

// Changes to the sets that filter-rules.h declares, over nfnetlink. Every method is one transaction
// of the kernel: all of it holds when it returns, and nothing of it when it throws.
class FilterSocket {
 public:
  FilterSocket();

  // From now on the vif's traffic passes the filter, and only this sender's gets through. The
  // device must exist.
  void admit(const Sender& sender);

  // Nothing from the vif gets through any more. It stays hooked, so that it falls to the policy.
  void refuse(const Sender& sender);

  // These senders and no others are allowed; which devices are hooked does not change.
  void replaceAll(kj::ArrayPtr<const Sender* const> senders);

  // The vif need not be known any more, since its device is gone.
  void unhook(kj::StringPtr vif);

  // Packets of the vif that the filter dropped; null when it is not admitted.
  kj::Maybe<uint64_t> dropped(kj::StringPtr vif);

 private:
  class Batch;

  NetlinkSocket socket;

  void run(Batch& batch, kj::StringPtr what);
};

}  // namespace bulkhead::net
