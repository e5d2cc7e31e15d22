// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "services/cli/context.h"
#include "services/tar/tree-unpack.h"

namespace bulkhead {

// One side of a copy, as it is written on the command line.
struct CopyEnd {
  enum class Kind { local, zone, stream };
  Kind kind = Kind::local;
  kj::String zone;
  kj::String path;  // in a zone: absolute
};

// "ZONE:PATH", "-", or a path of this machine: one that begins with "/" or "." or has no colon.
// Fails with `invalid` for a zone without a path.
CopyEnd parseCopyEnd(kj::StringPtr text);

enum class PathKind { missing, file, directory };

// Where a copy goes: the directory that is unpacked into, and what the top entry is called there.
struct CopyTarget {
  kj::String directory;
  kj::String name;
  TopEntry::Kind kind;  // what the top entry must be
};

// `sourceName` is the last part of the source's path: "." stands for what is in it. `kind` is of
// the destination.
CopyTarget copyTarget(kj::StringPtr sourceName, kj::StringPtr destination, PathKind kind);

struct CopyOptions {
  std::string source;
  std::string destination;
};

// `zone cp`.
int copyCommand(CommandContext& context, const CopyOptions& options);

}  // namespace bulkhead
