// SPDX-License-Identifier: Apache-2.0
#include "netd/agent/route-socket.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>

#include <kj/debug.h>

namespace bulkhead::net {
namespace {

uint8_t familyOf(const IpAddress& address) {
  return address.family == IpAddress::Family::v4 ? AF_INET : AF_INET6;
}

const nlattr* attribute(const nlmsghdr& message, uint16_t type) {
  return findAttribute(message, sizeof(ifinfomsg), type);
}

kj::Maybe<Device> deviceOf(const nlmsghdr& message) {
  if (message.nlmsg_type != RTM_NEWLINK && message.nlmsg_type != RTM_DELLINK) return nullptr;
  auto* name = attribute(message, IFLA_IFNAME);
  if (name == nullptr || mnl_attr_validate(name, MNL_TYPE_NUL_STRING) < 0) return nullptr;
  auto* header = static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(&message));
  return Device{header->ifi_index, kj::str(mnl_attr_get_str(name)),
                (header->ifi_flags & IFF_UP) != 0};
}

}  // namespace

RouteSocket::RouteSocket() : socket(NETLINK_ROUTE, RTMGRP_LINK) {}

RouteSocket::RouteSocket(kj::AutoCloseFd passed) : socket(kj::mv(passed)) {}

kj::Maybe<Device> RouteSocket::find(kj::StringPtr name) {
  NetlinkMessage message(RTM_GETLINK, 0);
  message.header<ifinfomsg>().ifi_family = AF_UNSPEC;
  message.put(IFLA_IFNAME, name);
  kj::Maybe<Device> found;
  int error = socket.tryRequest(message, [&](const nlmsghdr& answer) { found = deviceOf(answer); });
  if (error == ENODEV) return nullptr;
  if (error != 0) KJ_FAIL_SYSCALL("RTM_GETLINK", error, name);
  return found;
}

kj::Vector<Device> RouteSocket::vifs() {
  NetlinkMessage message(RTM_GETLINK, NLM_F_DUMP);
  message.header<ifinfomsg>().ifi_family = AF_UNSPEC;
  kj::Vector<Device> result;
  socket.request(message, [&](const nlmsghdr& answer) {
    KJ_IF_MAYBE (device, deviceOf(answer)) {
      if (VifName::parse(device->name) != nullptr) result.add(kj::mv(*device));
    }
  });
  return result;
}

void RouteSocket::moveToNamespace(int index, int namespaceFd) {
  NetlinkMessage message(RTM_NEWLINK, 0);
  message.header<ifinfomsg>().ifi_index = index;
  message.put32(IFLA_NET_NS_FD, static_cast<uint32_t>(namespaceFd));
  socket.request(message);
}

void RouteSocket::setMtu(int index, uint32_t mtu) {
  NetlinkMessage message(RTM_NEWLINK, 0);
  message.header<ifinfomsg>().ifi_index = index;
  message.put32(IFLA_MTU, mtu);
  socket.request(message);
}

void RouteSocket::setFlags(int index, unsigned flags) {
  NetlinkMessage message(RTM_NEWLINK, 0);
  auto& header = message.header<ifinfomsg>();
  header.ifi_index = index;
  header.ifi_change = IFF_UP;
  header.ifi_flags = flags;
  socket.request(message);
}

void RouteSocket::setUp(int index) { setFlags(index, IFF_UP); }
void RouteSocket::setDown(int index) { setFlags(index, 0); }

void RouteSocket::addAddress(int index, const IpAddress& address, unsigned prefix) {
  NetlinkMessage message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE);
  auto& header = message.header<ifaddrmsg>();
  header.ifa_family = familyOf(address);
  header.ifa_prefixlen = static_cast<uint8_t>(prefix);
  header.ifa_index = static_cast<uint32_t>(index);
  header.ifa_scope = RT_SCOPE_LINK;
  // Two ends of a wire cannot have a duplicate, and a tentative address would not answer.
  header.ifa_flags = address.family == IpAddress::Family::v6 ? IFA_F_NODAD : 0;
  message.put(IFA_LOCAL, address.data()).put(IFA_ADDRESS, address.data());
  socket.request(message);
}

void RouteSocket::addNeighbour(int index, const IpAddress& address, const MacAddress& mac) {
  NetlinkMessage message(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE);
  auto& header = message.header<ndmsg>();
  header.ndm_family = familyOf(address);
  header.ndm_ifindex = index;
  header.ndm_state = NUD_PERMANENT;
  message.put(NDA_DST, address.data()).put(NDA_LLADDR, mac.data());
  socket.request(message);
}

void RouteSocket::addHostRoute(int index, const IpAddress& address) {
  NetlinkMessage message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
  auto& header = message.header<rtmsg>();
  header.rtm_family = familyOf(address);
  header.rtm_dst_len = static_cast<uint8_t>(address.bits());
  header.rtm_table = RT_TABLE_MAIN;
  header.rtm_protocol = RTPROT_STATIC;
  header.rtm_scope = RT_SCOPE_LINK;
  header.rtm_type = RTN_UNICAST;
  message.put(RTA_DST, address.data()).put32(RTA_OIF, static_cast<uint32_t>(index));
  socket.request(message);
}

kj::Maybe<DeviceCounters> RouteSocket::counters(int index) {
  NetlinkMessage message(RTM_GETLINK, 0);
  message.header<ifinfomsg>().ifi_index = index;
  kj::Maybe<DeviceCounters> result;
  int error = socket.tryRequest(message, [&](const nlmsghdr& answer) {
    auto* attr = attribute(answer, IFLA_STATS64);
    if (attr == nullptr) return;
    // Later kernels append fields; the structure's head stays.
    rtnl_link_stats64 stats{};
    auto* begin = static_cast<const kj::byte*>(mnl_attr_get_payload(attr));
    memcpy(&stats, begin, kj::min(sizeof stats, size_t{mnl_attr_get_payload_len(attr)}));
    result = DeviceCounters{stats.rx_packets, stats.tx_packets, stats.rx_bytes, stats.tx_bytes};
  });
  if (error != 0 && error != ENODEV) KJ_FAIL_SYSCALL("RTM_GETLINK", error, index);
  return result;
}

bool RouteSocket::takeChanges(kj::Function<void(Change, kj::StringPtr)> receive) {
  return socket.takeEvents([&](const nlmsghdr& message) {
    KJ_IF_MAYBE (device, deviceOf(message)) {
      receive(message.nlmsg_type == RTM_NEWLINK ? Change::appeared : Change::vanished,
              device->name);
    }
  });
}

}  // namespace bulkhead::net
