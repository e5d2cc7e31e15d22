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

constexpr size_t kBufferBytes = 32 << 10;  // one part of a dump, as the kernel fills it

int hexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
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

// One request under construction.
class RouteSocket::Message {
 public:
  Message(uint16_t type, int flags) : header(mnl_nlmsg_put_header(buffer)) {
    header->nlmsg_type = type;
    header->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
  }

  template <typename Body>
  Body& body() {
    return *static_cast<Body*>(mnl_nlmsg_put_extra_header(header, sizeof(Body)));
  }

  void put(uint16_t type, const IpBytes& ip) {
    mnl_attr_put(header, type, ip.size(), ip.bytes.data());
  }
  void put(uint16_t type, uint32_t value) { mnl_attr_put_u32(header, type, value); }

 private:
  friend class RouteSocket;
  alignas(nlmsghdr) char buffer[1024];
  nlmsghdr* header;
};

RouteSocket::RouteSocket() {
  int raw;
  KJ_SYSCALL(raw = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  fd = kj::AutoCloseFd(raw);
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  KJ_SYSCALL(bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address));
}

template <typename Each>
void RouteSocket::dump(Message& message, kj::StringPtr what, Each each) {
  auto* header = message.header;
  header->nlmsg_seq = ++sequence;
  KJ_SYSCALL(send(fd, header, header->nlmsg_len, 0), what);
  auto buffer = kj::heapArray<char>(kBufferBytes);
  for (;;) {
    ssize_t received;
    KJ_SYSCALL(received = recv(fd, buffer.begin(), buffer.size(), 0), what);
    int remaining = static_cast<int>(received);
    auto* answer = reinterpret_cast<nlmsghdr*>(buffer.begin());
    for (; mnl_nlmsg_ok(answer, remaining); answer = mnl_nlmsg_next(answer, &remaining)) {
      if (answer->nlmsg_seq != sequence) continue;
      if (answer->nlmsg_type == NLMSG_DONE) return;
      if (answer->nlmsg_type == NLMSG_ERROR) {
        auto* error = static_cast<nlmsgerr*>(mnl_nlmsg_get_payload(answer));
        if (error->error == 0) return;
        kj::throwFatalException(KJ_EXCEPTION(FAILED, what, strerror(-error->error)));
      }
      each(answer);
    }
  }
}

void RouteSocket::request(Message& message, kj::StringPtr what) {
  message.header->nlmsg_flags |= NLM_F_ACK;
  dump(message, what, [](nlmsghdr*) {});
}

kj::Array<LinkInfo> RouteSocket::links() {
  Message message(RTM_GETLINK, NLM_F_DUMP);
  message.body<ifinfomsg>();
  kj::Vector<LinkInfo> found;
  dump(message, "listing links", [&](nlmsghdr* answer) {
    auto* info = static_cast<ifinfomsg*>(mnl_nlmsg_get_payload(answer));
    LinkInfo link{info->ifi_index, nullptr, {}};
    bool hasMac = false;
    for (auto* attr = static_cast<nlattr*>(mnl_nlmsg_get_payload_offset(answer, sizeof *info));
         mnl_attr_ok(attr, static_cast<int>(static_cast<char*>(mnl_nlmsg_get_payload_tail(answer)) -
                                            reinterpret_cast<char*>(attr)));
         attr = mnl_attr_next(attr)) {
      if (mnl_attr_get_type(attr) == IFLA_IFNAME) link.name = kj::str(mnl_attr_get_str(attr));
      if (mnl_attr_get_type(attr) == IFLA_ADDRESS &&
          mnl_attr_get_payload_len(attr) == link.mac.size()) {
        memcpy(link.mac.data(), mnl_attr_get_payload(attr), link.mac.size());
        hasMac = true;
      }
    }
    if (hasMac) found.add(kj::mv(link));
  });
  return found.releaseAsArray();
}

void RouteSocket::bringUp(int index, uint32_t mtu) {
  Message message(RTM_NEWLINK, 0);
  auto& info = message.body<ifinfomsg>();
  info.ifi_index = index;
  info.ifi_flags = IFF_UP;
  info.ifi_change = IFF_UP;
  if (mtu != 0) message.put(IFLA_MTU, mtu);
  request(message, "bringing a link up");
}

kj::Array<IpPrefix> RouteSocket::addresses(int index) {
  Message message(RTM_GETADDR, NLM_F_DUMP);
  message.body<ifaddrmsg>();
  kj::Vector<IpPrefix> found;
  dump(message, "listing addresses", [&](nlmsghdr* answer) {
    auto* info = static_cast<ifaddrmsg*>(mnl_nlmsg_get_payload(answer));
    if (static_cast<int>(info->ifa_index) != index) return;
    // What the kernel gave the link itself stays.
    if (info->ifa_scope == RT_SCOPE_LINK || info->ifa_scope == RT_SCOPE_HOST) return;
    if (info->ifa_family != AF_INET && info->ifa_family != AF_INET6) return;
    IpPrefix prefix{{info->ifa_family, {}}, info->ifa_prefixlen};
    int wanted = info->ifa_family == AF_INET ? IFA_LOCAL : IFA_ADDRESS;
    for (auto* attr = static_cast<nlattr*>(mnl_nlmsg_get_payload_offset(answer, sizeof *info));
         mnl_attr_ok(attr, static_cast<int>(static_cast<char*>(mnl_nlmsg_get_payload_tail(answer)) -
                                            reinterpret_cast<char*>(attr)));
         attr = mnl_attr_next(attr)) {
      if (mnl_attr_get_type(attr) != wanted) continue;
      if (mnl_attr_get_payload_len(attr) != prefix.address.size()) continue;
      memcpy(prefix.address.bytes.data(), mnl_attr_get_payload(attr), prefix.address.size());
      found.add(prefix);
    }
  });
  return found.releaseAsArray();
}

void RouteSocket::addAddress(int index, const IpPrefix& address) {
  Message message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE);
  auto& info = message.body<ifaddrmsg>();
  info.ifa_family = address.address.family;
  info.ifa_prefixlen = address.length;
  info.ifa_index = static_cast<uint32_t>(index);
  // The address is ours by assignment: asking the neighbours first would only cost a second.
  if (address.address.family == AF_INET6) info.ifa_flags = IFA_F_NODAD;
  message.put(IFA_LOCAL, address.address);
  message.put(IFA_ADDRESS, address.address);
  request(message, "adding an address");
}

void RouteSocket::removeAddress(int index, const IpPrefix& address) {
  Message message(RTM_DELADDR, 0);
  auto& info = message.body<ifaddrmsg>();
  info.ifa_family = address.address.family;
  info.ifa_prefixlen = address.length;
  info.ifa_index = static_cast<uint32_t>(index);
  message.put(IFA_LOCAL, address.address);
  request(message, "removing an address");
}

void RouteSocket::routeThrough(int index, const IpBytes& gateway) {
  auto route = [&](uint8_t scope, unsigned flags, Message& message) {
    auto& info = message.body<rtmsg>();
    info.rtm_family = gateway.family;
    info.rtm_table = RT_TABLE_MAIN;
    info.rtm_protocol = RTPROT_STATIC;
    info.rtm_scope = scope;
    info.rtm_type = RTN_UNICAST;
    info.rtm_flags = flags;
    return &info;
  };
  if (gateway.family == AF_INET) {
    Message message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
    route(RT_SCOPE_LINK, 0, message)->rtm_dst_len = 32;
    message.put(RTA_DST, gateway);
    message.put(RTA_OIF, static_cast<uint32_t>(index));
    request(message, "adding the route to the gateway");
  }
  Message message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
  route(RT_SCOPE_UNIVERSE, RTNH_F_ONLINK, message);
  message.put(RTA_GATEWAY, gateway);
  message.put(RTA_OIF, static_cast<uint32_t>(index));
  request(message, "adding the default route");
}

}  // namespace bulkhead::zone
