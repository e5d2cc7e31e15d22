// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async.h>
#include <kj/timer.h>

#include "hvd/xenstore-client.h"

namespace bulkhead::hvd {

// What a toolstack writes to make a back end close. `backend` is its directory.
void addClosing(kj::Vector<NodeChange>& changes, kj::StringPtr backend);

// Resolves when a back end has closed (state 6) or is gone, or after the patience is over: then
// false. `backend` is its directory.
kj::Promise<bool> whenBackendClosed(XenstoreClient& xenstore, kj::Timer& timer,
                                    kj::StringPtr backend, kj::Duration patience);

// Resolves when a back end waits for its front end (state 2 or beyond): its driver is there. What
// it serves it may open later. Fails with `timeout` after the patience, and with what the back end
// wrote where it gave up.
kj::Promise<void> whenBackendReady(XenstoreClient& xenstore, kj::Timer& timer,
                                   kj::StringPtr backend, kj::Duration patience);

}  // namespace bulkhead::hvd
