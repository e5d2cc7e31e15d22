// SPDX-License-Identifier: Apache-2.0
#include "netd/agent/filter-rules.h"

#include <nftables/libnftables.h>

#include <kj/debug.h>

namespace bulkhead::net {
namespace {

// The first part makes what may not be there yet, the second empties the chains, the third fills
// them anew. "lo" is hooked so that the chain exists before the first vif does on every kernel.
constexpr kj::StringPtr kRules = R"nft(
table netdev bulkhead {
  set vifs {
    type ifname
    counter
  }
  set senders4 { type ifname . ether_addr . ipv4_addr; }
  set senders6 { type ifname . ether_addr . ipv6_addr; }
  chain from_zones { type filter hook ingress device "lo" priority -300; policy drop; }
}
table inet bulkhead {
  chain track_in { type filter hook prerouting priority raw; policy accept; }
  chain track_out { type filter hook output priority raw; policy accept; }
  chain input { type filter hook input priority filter; policy drop; }
  chain forward { type filter hook forward priority filter; policy drop; }
}

flush table netdev bulkhead
flush table inet bulkhead

table netdev bulkhead {
  chain from_zones {
    iifname "lo" accept

    # A zone may ask for the gateway's MAC, as itself. It is never asked for its own: the agent
    # knows it, and an unasked answer is a lie.
    arp operation request arp daddr ip 169.254.1.1 \
      iifname . ether saddr . arp saddr ip @senders4 \
      iifname . arp saddr ether . arp saddr ip @senders4 accept

    # Link-local, loopback, multicast and reserved destinations: nothing there is for a zone, the
    # metadata services of clouds (169.254.169.254) least of all.
    ip daddr 169.254.1.1 iifname . ether saddr . ip saddr @senders4 accept
    ip daddr { 0.0.0.0/8, 127.0.0.0/8, 169.254.0.0/16, 224.0.0.0/3 } iifname @vifs drop
    iifname . ether saddr . ip saddr @senders4 accept

    # Neighbour discovery of the gateway, and the gateway itself; the link-local destinations
    # besides them are as above, and fd00:ec2::/32 holds a cloud's metadata service.
    ip6 daddr { fe80::1, ff02::1:ff00:1 } iifname . ether saddr . ip6 saddr @senders6 accept
    ip6 daddr { ::/127, fe80::/10, fd00:ec2::/32, ff00::/8 } iifname @vifs drop
    ip6 saddr fe80::/10 iifname @vifs drop
    iifname . ether saddr . ip6 saddr @senders6 accept

    # A foreign address, a tag, another protocol. Counted per vif; an unknown vif falls to the
    # policy.
    iifname @vifs drop
  }
}
table inet bulkhead {
  # The gateway's own conversations are not tracked: a zone must not be able to fill the table
  # that all of them share by talking to the gateway.
  chain track_in {
    ip daddr 169.254.1.1 notrack
    ip6 daddr { fe80::/10, ff00::/8 } notrack
  }
  chain track_out { notrack; }
  chain input {
    icmp type echo-request limit rate 1000/second burst 100 packets accept
    icmpv6 type echo-request limit rate 1000/second burst 100 packets accept
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } ip6 hoplimit 255 accept
    counter
  }
  # Between zones nothing passes that no rule allows.
  chain forward {
    ct state established,related accept
    counter
  }
}
)nft"_kj;

void run(kj::StringPtr commands) {
  auto* context = nft_ctx_new(NFT_CTX_DEFAULT);
  KJ_REQUIRE(context != nullptr, "no memory for libnftables");
  KJ_DEFER(nft_ctx_free(context));
  nft_ctx_buffer_error(context);
  int failed = nft_run_cmd_from_buffer(context, commands.cStr());
  KJ_REQUIRE(failed == 0, "the kernel refused the filter rules",
             kj::StringPtr(nft_ctx_get_error_buffer(context)));
}

}  // namespace

void loadFilterRules() { run(kRules); }

void removeFilterRules() { run("destroy table netdev bulkhead\ndestroy table inet bulkhead\n"); }

}  // namespace bulkhead::net
