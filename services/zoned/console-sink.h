// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async-io.h>

#include "schemas/hypervisor.capnp.h"

namespace bulkhead {

// Copies a domain's console to a client's pipe or socket, with control characters made visible:
// what a guest writes must not command the client's terminal. Resolves at the end of the history,
// or of the console when following. Fails with `invalid` for any other kind of descriptor.
kj::Promise<void> copyConsole(kj::LowLevelAsyncIoProvider& provider, schema::Domain::Client domain,
                              schema::ConsoleMode mode, schema::File::Client output);

}  // namespace bulkhead
