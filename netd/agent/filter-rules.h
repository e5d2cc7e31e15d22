// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/string.h>

namespace bulkhead::net {

// The names that the rule set and those who fill its sets share.
constexpr kj::StringPtr kFilterTable = "bulkhead"_kj;
constexpr kj::StringPtr kFromZones = "from_zones"_kj;  // base chain at the ingress of every vif
constexpr kj::StringPtr kVifs = "vifs"_kj;             // vif; each element counts what it drops
constexpr kj::StringPtr kSenders4 = "senders4"_kj;     // vif . MAC . IPv4
constexpr kj::StringPtr kSenders6 = "senders6"_kj;     // vif . MAC . IPv6
constexpr int kFromZonesPriority = -300;

// Loads the rules that are the same for every vif, in one transaction. What the sets hold and which
// vifs are hooked stays: vifs that were filtered are filtered at every moment, also when this
// program starts while they carry traffic. Throws when the kernel refuses.
//
// The rules are text because text can be reviewed, and libnftables parses it here, before the
// sandbox, once. It is not used later: it answers some errors by ending the process, and it would
// have to run beside the requests of peers. Vifs come and go as set elements, through the few
// messages of filter-socket.h.
void loadFilterRules();

// Removes them and what their sets hold. For rules of another version, which the ones above cannot
// be merged with; every vif must be down.
void removeFilterRules();

}  // namespace bulkhead::net
