// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <capnp/capability.h>
#include <kj/async.h>
#include <kj/function.h>
#include <kj/io.h>

#include "schemas/common.capnp.h"

namespace bulkhead {

// A descriptor of our own for the same open file, close-on-exec.
kj::AutoCloseFd duplicate(int fd);

// A `File` capability that hands out this descriptor.
schema::File::Client makeFile(kj::AutoCloseFd fd);

// A descriptor of our own for a received `File`: a duplicate, close-on-exec. `what` names it in the
// error. Fails with `invalid` when the capability carries none.
kj::Promise<kj::AutoCloseFd> takeFd(schema::File::Client file, kj::StringPtr what);

// The same, for a `File` that may be absent.
kj::Promise<kj::Maybe<kj::AutoCloseFd>> takeFdIfAny(kj::Maybe<schema::File::Client> file);

// A `Directory` of what lies below an opened directory, for callers that may open files there.
schema::Directory::Client makeDirectory(kj::AutoCloseFd directory);

// Opens a file or directory below `directory`, never through a symbolic link and never outside it.
// Not blocking: what lies there may be a pipe. Returns the descriptor, or a negative errno.
int openBeneath(int directory, kj::StringPtr path, int flags);

// The same for reading, and nothing but a plain file. Fails with `notFound`, `invalid`.
kj::AutoCloseFd openPlainFileBeneath(int directory, kj::StringPtr path);

// A `Handle` that runs `onDrop` when its last holder lets go.
schema::Handle::Client makeHandle(kj::Function<void()> onDrop);

}  // namespace bulkhead
