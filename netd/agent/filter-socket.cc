// SPDX-License-Identifier: Apache-2.0
#include "netd/agent/filter-socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <string.h>

#include <algorithm>
#include <span>

#include <kj/debug.h>

#include "netd/agent/filter-rules.h"

namespace bulkhead::net {
namespace {

uint16_t nftType(int message) { return static_cast<uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | message); }

// The key of an element of a concatenated set: every part fills whole 32-bit registers.
class Key {
 public:
  Key& name(kj::StringPtr vif) {
    KJ_REQUIRE(vif.size() < IFNAMSIZ, "not an interface name", vif);
    std::ranges::copy(vif, std::span(bytes).subspan(used).begin());
    used += IFNAMSIZ;
    return *this;
  }
  Key& part(kj::ArrayPtr<const kj::byte> value) {
    std::ranges::copy(value, std::span(bytes).subspan(used).begin());
    used += (value.size() + 3) / 4 * 4;
    return *this;
  }
  kj::ArrayPtr<const kj::byte> data() const { return kj::arrayPtr(bytes, used); }

 private:
  kj::byte bytes[IFNAMSIZ + 8 + 16]{};
  size_t used = 0;
};

void putElement(NetlinkMessage& message, const Key& key) {
  message.nest(NFTA_LIST_ELEM, [&]() {
    message.nest(NFTA_SET_ELEM_KEY, [&]() { message.put(NFTA_DATA_VALUE, key.data()); });
  });
}

nfgenmsg& familyHeader(NetlinkMessage& message) {
  auto& header = message.header<nfgenmsg>();
  header.nfgen_family = NFPROTO_NETDEV;
  header.version = NFNETLINK_V0;
  return header;
}

}  // namespace

// Messages between the marks that make them one transaction.
class FilterSocket::Batch {
 public:
  explicit Batch(NetlinkSocket& socket) : socket(socket) { mark(NFNL_MSG_BATCH_BEGIN); }

  void elements(int type, kj::StringPtr set, kj::ArrayPtr<const Key> keys) {
    NetlinkMessage message(nftType(type), type == NFT_MSG_NEWSETELEM ? NLM_F_CREATE : 0);
    familyHeader(message);
    message.put(NFTA_SET_ELEM_LIST_TABLE, kFilterTable);
    message.put(NFTA_SET_ELEM_LIST_SET, set);
    // Without a list of elements a deletion empties the set.
    if (keys.size() > 0) {
      message.nest(NFTA_SET_ELEM_LIST_ELEMENTS, [&]() {
        for (auto& key : keys) putElement(message, key);
      });
    }
    add(message);
  }

  void sender(int type, const Sender& sender) {
    Key vif;
    vif.name(sender.vif);
    elements(type, kVifs, kj::arrayPtr(&vif, 1));
    kj::Vector<Key> v4, v6;
    for (auto& address : sender.addresses) {
      auto& keys = address.family == IpAddress::Family::v4 ? v4 : v6;
      keys.add(Key().name(sender.vif).part(sender.mac.data()).part(address.data()));
    }
    v6.add(Key().name(sender.vif).part(sender.mac.data()).part(linkLocal(sender.mac).data()));
    if (v4.size() > 0) elements(type, kSenders4, v4);
    elements(type, kSenders6, v6);
  }

  void hook(int type, kj::StringPtr vif) {
    NetlinkMessage message(nftType(type), type == NFT_MSG_NEWCHAIN ? NLM_F_CREATE : 0);
    familyHeader(message);
    message.put(NFTA_CHAIN_TABLE, kFilterTable);
    message.put(NFTA_CHAIN_NAME, kFromZones);
    message.nest(NFTA_CHAIN_HOOK, [&]() {
      message.put32(NFTA_HOOK_HOOKNUM, htonl(NF_NETDEV_INGRESS));
      message.put32(NFTA_HOOK_PRIORITY, htonl(static_cast<uint32_t>(kFromZonesPriority)));
      message.nest(NFTA_HOOK_DEVS, [&]() { message.put(NFTA_DEVICE_NAME, vif); });
    });
    if (type == NFT_MSG_NEWCHAIN) message.put(NFTA_CHAIN_TYPE, "filter"_kj);
    add(message);
  }

  // Returns the first error's number, 0 for success.
  int send() {
    // Only the last message is acknowledged: one acknowledgement per element would overflow the
    // inbox on a host with many vifs. Failures are reported in any case.
    uint32_t last = lastNumber;
    reinterpret_cast<nlmsghdr*>(&bytes[lastOffset])->nlmsg_flags |= NLM_F_ACK;
    mark(NFNL_MSG_BATCH_END);
    return socket.tryBatch(bytes, last);
  }

 private:
  NetlinkSocket& socket;
  kj::Vector<kj::byte> bytes;
  size_t lastOffset = 0;
  uint32_t lastNumber = 0;

  void add(NetlinkMessage& message) {
    message.raw().nlmsg_seq = lastNumber = socket.nextSequence();
    lastOffset = bytes.size();
    bytes.addAll(message.bytes());
    while (bytes.size() % NLMSG_ALIGNTO != 0) bytes.add(kj::byte{0});
  }

  void mark(uint16_t type) {
    NetlinkMessage message(type, 0);
    auto& header = message.header<nfgenmsg>();
    header.nfgen_family = AF_UNSPEC;
    header.version = NFNETLINK_V0;
    header.res_id = htons(NFNL_SUBSYS_NFTABLES);
    add(message);
  }
};

FilterSocket::FilterSocket() : socket(NETLINK_NETFILTER, 0) {}

void FilterSocket::run(Batch& batch, kj::StringPtr what) {
  int error = batch.send();
  if (error != 0) KJ_FAIL_SYSCALL("nftables", error, what);
}

void FilterSocket::admit(const Sender& sender) {
  Batch batch(socket);
  batch.sender(NFT_MSG_NEWSETELEM, sender);
  batch.hook(NFT_MSG_NEWCHAIN, sender.vif);
  run(batch, sender.vif);
}

void FilterSocket::refuse(const Sender& sender) {
  Batch batch(socket);
  batch.sender(NFT_MSG_DESTROYSETELEM, sender);
  run(batch, sender.vif);
}

void FilterSocket::replaceAll(kj::ArrayPtr<const Sender* const> senders) {
  Batch batch(socket);
  for (auto set : {kVifs, kSenders4, kSenders6}) {
    batch.elements(NFT_MSG_DELSETELEM, set, nullptr);
  }
  for (auto* sender : senders) batch.sender(NFT_MSG_NEWSETELEM, *sender);
  run(batch, "all senders");
}

void FilterSocket::unhook(kj::StringPtr vif) {
  Batch batch(socket);
  batch.hook(NFT_MSG_DELCHAIN, vif);
  // Kernels before 6.16 have forgotten the device by themselves.
  int error = batch.send();
  if (error != 0 && error != ENOENT && error != ENODEV) {
    KJ_FAIL_SYSCALL("nftables: unhook", error, vif);
  }
}

kj::Maybe<uint64_t> FilterSocket::dropped(kj::StringPtr vif) {
  NetlinkMessage message(nftType(NFT_MSG_GETSETELEM), 0);
  familyHeader(message);
  message.put(NFTA_SET_ELEM_LIST_TABLE, kFilterTable);
  message.put(NFTA_SET_ELEM_LIST_SET, kVifs);
  Key key;
  key.name(vif);
  message.nest(NFTA_SET_ELEM_LIST_ELEMENTS, [&]() { putElement(message, key); });
  kj::Maybe<uint64_t> result;
  int error = socket.tryRequest(message, [&](const nlmsghdr& answer) {
    auto* list = findAttribute(answer, sizeof(nfgenmsg), NFTA_SET_ELEM_LIST_ELEMENTS);
    auto* expression = findAttribute(findAttribute(list, NFTA_LIST_ELEM), NFTA_SET_ELEM_EXPR);
    auto* counter = findAttribute(expression, NFTA_EXPR_DATA);
    auto* packets = findAttribute(counter, NFTA_COUNTER_PACKETS);
    if (packets == nullptr || mnl_attr_get_payload_len(packets) != sizeof(uint64_t)) return;
    result = be64toh(mnl_attr_get_u64(packets));
  });
  if (error != 0 && error != ENOENT) KJ_FAIL_SYSCALL("nftables: counter", error, vif);
  return result;
}

}  // namespace bulkhead::net
