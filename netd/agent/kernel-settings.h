// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace bulkhead::net {

// Sets what this network namespace's kernel does with every link that will ever appear in it:
// forwards, answers only for its own addresses, believes no redirect and no router. Throws when a
// setting cannot be made. Needs CAP_NET_ADMIN and a writable /proc/sys/net.
void applyKernelSettings();

}  // namespace bulkhead::net
