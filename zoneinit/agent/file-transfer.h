// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "schemas/agent.capnp.h"
#include "zoneinit/runtime/container.h"

namespace bulkhead::zone {

// Files into and out of a running container, as `Workload.putFiles` and `Workload.getFiles` say.
// Both fail with `busy` where the container does not run and `invalid` for a path that is not
// absolute, longer than 4095 bytes or with a NUL byte.
//
// The work is done by a process of its own inside the container (agent/files-main.h), so that no
// symbolic link and no race in there leads to anything of the zone's. It ends with the stream that
// is dropped, or the promise.
kj::Promise<schema::ByteStream::Client> putFiles(kj::Own<Container> container,
                                                 capnp::Text::Reader directory);
kj::Promise<void> getFiles(kj::Own<Container> container, capnp::Text::Reader path,
                           schema::ByteStream::Client into);

}  // namespace bulkhead::zone
