// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/agent/route-socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>

#include <kj/debug.h>
#include <kj/vector.h>

namespace bulkhead::zone {
namespace {

int hexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

kj::ArrayPtr<const kj::byte> bytesOf(const IpBytes& ip) {
  return kj::arrayPtr(ip.bytes.data(), ip.size());
}

}  // namespace

size_t IpBytes::size() const { return family == AF_INET ? 4 : 16; }

kj::Maybe<MacBytes> parseMac(kj::StringPtr text) {
  if (text.size() != 17) return nullptr;
  MacBytes mac{};
  for (size_t i = 0; i < 6; ++i) {
    int high = hexDigit(text[3 * i]), low = hexDigit(text[3 * i + 1]);
    if (high < 0 || low < 0 || (i < 5 && text[3 * i + 2] != ':')) return nullptr;
    mac[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return mac;
}

kj::Maybe<IpBytes> parseIp(kj::StringPtr text) {
  IpBytes ip{AF_INET, {}};
  if (inet_pton(AF_INET, text.cStr(), ip.bytes.data()) == 1) return ip;
  ip.family = AF_INET6;
  if (inet_pton(AF_INET6, text.cStr(), ip.bytes.data()) == 1) return ip;
  return nullptr;
}

kj::Maybe<IpPrefix> parsePrefix(kj::StringPtr text) {
  auto slash = text.findFirst('/').orDefault(text.size());
  KJ_IF_MAYBE (ip, parseIp(kj::str(text.slice(0, slash)))) {
    auto most = static_cast<uint8_t>(ip->size() * 8);
    if (slash == text.size()) return IpPrefix{*ip, most};
    KJ_IF_MAYBE (length, text.slice(slash + 1).tryParseAs<uint8_t>()) {
      if (*length <= most) return IpPrefix{*ip, *length};
    }
  }
  return nullptr;
}

RouteSocket::RouteSocket() : socket(NETLINK_ROUTE, 0) {}

void RouteSocket::request(NetlinkMessage& message, kj::StringPtr what,
                          NetlinkSocket::Receive receive) {
  int error = socket.tryRequest(message, kj::mv(receive));
  if (error != 0) kj::throwFatalException(KJ_EXCEPTION(FAILED, what, strerror(error)));
}

void RouteSocket::request(NetlinkMessage& message, kj::StringPtr what) {
  request(message, what, [](const nlmsghdr&) {});
}

kj::Array<LinkInfo> RouteSocket::links() {
  NetlinkMessage message(RTM_GETLINK, NLM_F_DUMP);
  message.header<ifinfomsg>();
  kj::Vector<LinkInfo> found;
  request(message, "listing links", [&](const nlmsghdr& answer) {
    auto* info = static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(&answer));
    auto* name = findAttribute(answer, sizeof *info, IFLA_IFNAME);
    auto* address = findAttribute(answer, sizeof *info, IFLA_ADDRESS);
    LinkInfo link{info->ifi_index, nullptr, {}};
    if (name == nullptr || address == nullptr) return;
    if (mnl_attr_get_payload_len(address) != link.mac.size()) return;
    link.name = kj::str(mnl_attr_get_str(name));
    memcpy(link.mac.data(), mnl_attr_get_payload(address), link.mac.size());
    found.add(kj::mv(link));
  });
  return found.releaseAsArray();
}

void RouteSocket::bringUp(int index, uint32_t mtu) {
  NetlinkMessage message(RTM_NEWLINK, 0);
  auto& info = message.header<ifinfomsg>();
  info.ifi_index = index;
  info.ifi_flags = IFF_UP;
  info.ifi_change = IFF_UP;
  if (mtu != 0) message.put32(IFLA_MTU, mtu);
  request(message, "bringing a link up");
}

kj::Array<IpPrefix> RouteSocket::addresses(int index) {
  NetlinkMessage message(RTM_GETADDR, NLM_F_DUMP);
  message.header<ifaddrmsg>();
  kj::Vector<IpPrefix> found;
  request(message, "listing addresses", [&](const nlmsghdr& answer) {
    auto* info = static_cast<const ifaddrmsg*>(mnl_nlmsg_get_payload(&answer));
    if (static_cast<int>(info->ifa_index) != index) return;
    // What the kernel gave the link itself stays.
    if (info->ifa_scope == RT_SCOPE_LINK || info->ifa_scope == RT_SCOPE_HOST) return;
    if (info->ifa_family != AF_INET && info->ifa_family != AF_INET6) return;
    IpPrefix prefix{{info->ifa_family, {}}, info->ifa_prefixlen};
    uint16_t wanted = info->ifa_family == AF_INET ? IFA_LOCAL : IFA_ADDRESS;
    auto* address = findAttribute(answer, sizeof *info, wanted);
    if (address == nullptr || mnl_attr_get_payload_len(address) != prefix.address.size()) return;
    memcpy(prefix.address.bytes.data(), mnl_attr_get_payload(address), prefix.address.size());
    found.add(prefix);
  });
  return found.releaseAsArray();
}

void RouteSocket::addAddress(int index, const IpPrefix& address) {
  NetlinkMessage message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE);
  auto& info = message.header<ifaddrmsg>();
  info.ifa_family = address.address.family;
  info.ifa_prefixlen = address.length;
  info.ifa_index = static_cast<uint32_t>(index);
  // The address is ours by assignment: asking the neighbours first would only cost a second.
  if (address.address.family == AF_INET6) info.ifa_flags = IFA_F_NODAD;
  message.put(IFA_LOCAL, bytesOf(address.address));
  message.put(IFA_ADDRESS, bytesOf(address.address));
  request(message, "adding an address");
}

void RouteSocket::removeAddress(int index, const IpPrefix& address) {
  NetlinkMessage message(RTM_DELADDR, 0);
  auto& info = message.header<ifaddrmsg>();
  info.ifa_family = address.address.family;
  info.ifa_prefixlen = address.length;
  info.ifa_index = static_cast<uint32_t>(index);
  message.put(IFA_LOCAL, bytesOf(address.address));
  request(message, "removing an address");
}

void RouteSocket::routeThrough(int index, const IpBytes& gateway) {
  auto route = [&](uint8_t scope, unsigned flags, NetlinkMessage& message) {
    auto& info = message.header<rtmsg>();
    info.rtm_family = gateway.family;
    info.rtm_table = RT_TABLE_MAIN;
    info.rtm_protocol = RTPROT_STATIC;
    info.rtm_scope = scope;
    info.rtm_type = RTN_UNICAST;
    info.rtm_flags = flags;
    return &info;
  };
  if (gateway.family == AF_INET) {
    NetlinkMessage message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
    route(RT_SCOPE_LINK, 0, message)->rtm_dst_len = 32;
    message.put(RTA_DST, bytesOf(gateway));
    message.put32(RTA_OIF, static_cast<uint32_t>(index));
    request(message, "adding the route to the gateway");
  }
  NetlinkMessage message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
  route(RT_SCOPE_UNIVERSE, RTNH_F_ONLINK, message);
  message.put(RTA_GATEWAY, bytesOf(gateway));
  message.put32(RTA_OIF, static_cast<uint32_t>(index));
  request(message, "adding the default route");
}

}  // namespace bulkhead::zone
