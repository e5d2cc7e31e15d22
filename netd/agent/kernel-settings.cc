// SPDX-License-Identifier: Apache-2.0
#include "netd/agent/kernel-settings.h"

#include <fcntl.h>
#include <unistd.h>

#include <kj/debug.h>
#include <kj/io.h>
#include <kj/string.h>

namespace bulkhead::net {
namespace {

struct Setting {
  kj::StringPtr name;  // below /proc/sys/net
  kj::StringPtr value;
};

// "default" holds for links that appear later; "all" adds to every link or overrides it.
const Setting kSettings[] = {
    {"ipv4/conf/all/accept_redirects", "0"},
    {"ipv4/conf/all/accept_source_route", "0"},
    {"ipv4/conf/all/arp_ignore", "1"},  // no answer for an address of another link
    {"ipv4/conf/all/proxy_arp", "0"},
    {"ipv4/conf/all/rp_filter", "1"},  // the filter checks this too
    {"ipv4/conf/all/send_redirects", "0"},
    {"ipv4/conf/default/accept_redirects", "0"},
    {"ipv4/conf/default/accept_source_route", "0"},
    {"ipv4/conf/default/arp_ignore", "1"},
    {"ipv4/conf/default/proxy_arp", "0"},
    {"ipv4/conf/default/rp_filter", "1"},
    {"ipv4/conf/default/send_redirects", "0"},
    {"ipv6/conf/all/disable_ipv6", "0"},
    {"ipv6/conf/default/disable_ipv6", "0"},
    {"ipv6/conf/all/accept_ra", "0"},
    {"ipv6/conf/all/accept_redirects", "0"},
    {"ipv6/conf/default/accept_ra", "0"},
    {"ipv6/conf/default/accept_redirects", "0"},
    {"ipv6/conf/default/addr_gen_mode", "1"},  // fe80::1 is the only one
    {"ipv6/conf/default/autoconf", "0"},
    {"ipv6/conf/default/dad_transmits", "0"},
    // Last, since forwarding resets some of the others.
    {"ipv4/ip_forward", "1"},
    {"ipv6/conf/all/forwarding", "1"},
};

}  // namespace

void applyKernelSettings() {
  for (auto& setting : kSettings) {
    auto path = kj::str("/proc/sys/net/", setting.name);
    int raw;
    KJ_SYSCALL(raw = open(path.cStr(), O_WRONLY | O_CLOEXEC), path);
    kj::AutoCloseFd fd(raw);
    kj::FdOutputStream(fd.get()).write(setting.value.begin(), setting.value.size());
  }
}

}  // namespace bulkhead::net
