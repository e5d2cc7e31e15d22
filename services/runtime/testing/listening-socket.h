// SPDX-License-Identifier: Apache-2.0
// For tests: what a service manager does before it starts a daemon.
#pragma once

#include <kj/io.h>
#include <kj/string.h>

namespace bulkhead {

// A Unix socket that listens at `path`, which must not exist yet.
kj::AutoCloseFd listenAt(kj::StringPtr path);

}  // namespace bulkhead
