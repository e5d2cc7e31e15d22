// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async-unix.h>
#include <kj/io.h>
#include <kj/string.h>

namespace bulkhead::zone {

// Waits for a request in xenstore's control/shutdown (xen/io/xs_wire.h, and the node's part of the
// xenstore paths document), acknowledges it by emptying the node, and gives its text: "poweroff",
// "reboot", "halt". `xenbus` is /dev/xen/xenbus, or what speaks like it.
kj::Promise<kj::String> whenShutdownIsAsked(kj::UnixEventPort& eventPort, kj::AutoCloseFd xenbus);

}  // namespace bulkhead::zone
