// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async-io.h>

#include "schemas/image.capnp.h"

namespace bulkhead {

// Images as other tools have them: OCI image layouts (OCI image specification, "Image Layout"), as
// directories and as tar archives of these. Everything here runs with the caller's own authority
// and descriptors; what an `Image` gives is read-only. Errors are typed failures, or those of the
// caller's file system.

// Writes an image into an empty directory. `tag` is the name it gets in the layout; may be empty.
// The descriptor is borrowed until the promise resolves.
kj::Promise<void> writeLayoutDirectory(schema::Image::Client image, kj::String tag, int directory);

// Writes the same as a tar archive. Blocks while the descriptor does.
kj::Promise<void> writeLayoutArchive(schema::Image::Client image, kj::String tag, int output);

// Sends an archive, or what a layout directory holds as one, to whoever reads it: see
// `ImageKeeper.importArchive`. `source` is a directory, a file or a pipe.
kj::Promise<void> sendArchive(kj::LowLevelAsyncIoProvider& provider, int source,
                              kj::Own<kj::AsyncOutputStream> output);

}  // namespace bulkhead
