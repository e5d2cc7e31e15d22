// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async.h>

#include "schemas/image-files.capnp.h"

namespace bulkhead {

// Takes an archive of an image apart: a tar of an OCI layout or of `docker save`. Reads from where
// the descriptor stands to the archive's end and gives every plain file to `members`, with its
// digest; blobs of a layout must be the ones of their names. Fails with `invalid`, `unsupported`,
// `digestMismatch`, or `exhausted` beyond `maxBytes`.
kj::Promise<void> readImageArchive(int archive, schema::ArchiveMembers::Client members,
                                   uint64_t maxBytes);

struct DockerManifest {
  kj::String manifest;
  kj::String config;  // the member that is the configuration
};

// An OCI manifest of what a Docker archive's manifest.json ("Docker Image Specification v1.2.0",
// "Combined Image JSON + Filesystem Changeset Format") names. Fails with `invalid`.
DockerManifest convertDockerManifest(kj::ArrayPtr<const kj::byte> index,
                                     capnp::List<schema::ArchiveMember>::Reader members);

}  // namespace bulkhead
