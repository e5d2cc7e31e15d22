// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/common.h>
#include <kj/string.h>

namespace bulkhead {

// A path taken apart at its last slash; the parent of a name at the top is "".
struct SplitPath {
  kj::String parent;
  kj::String name;
};
SplitPath splitPath(kj::StringPtr path);
kj::String joinPath(kj::StringPtr parent, kj::StringPtr name);

// A marker in a layer (OCI image specification, "Whiteouts").
struct Whiteout {
  enum class Kind {
    one,     // `hidden`, in the same directory
    opaque,  // everything lower layers have in the directory
    record   // one of AUFS, for itself
  };
  Kind kind;
  kj::String hidden;
};

// What a name means; none for an ordinary one.
kj::Maybe<Whiteout> whiteoutOf(kj::StringPtr name);

}  // namespace bulkhead
