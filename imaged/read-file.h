// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <kj/array.h>
#include <kj/string.h>

namespace bulkhead {

// All bytes of a plain file, at most `most`. `what` names it in errors. Fails with `invalid` for
// anything else than a plain file, `exhausted`, `corrupt`. Blocks as long as the file system does.
kj::Array<kj::byte> readWholeFile(int fd, size_t most, kj::StringPtr what);

}  // namespace bulkhead
