// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/map.h>
#include <kj/string.h>
#include <kj/vector.h>

#include "imaged/unpack/tar-reader.h"

namespace bulkhead {

// What the layers read so far, newest first, leave visible of the ones below: whether a file's
// content is worth writing before the whole tree is known. It looks at names only, so the answer
// can be wrong either way (a hard link keeps a file whose name is gone); ImageTree has the last
// word.
class UpperLayers {
 public:
  // One member of the layer being read. Its own layer is not affected by it.
  void add(const TarEntry& entry);

  // What remembering it takes, in bytes.
  static uint64_t sizeOf(const TarEntry& entry);

  // The layer is complete: from here on it covers what comes.
  void endLayer();

  // Whether no name `path` of the layer being read can be seen from above.
  bool hide(kj::StringPtr path) const;

 private:
  struct Names {
    kj::HashSet<kj::String> covering;  // gone or no directory any more: with everything below
    kj::HashSet<kj::String> opaque;    // directories that show nothing of what is below them
    kj::HashSet<kj::String> named;     // described anew
  };
  Names above;
  struct Pending {
    kj::HashSet<kj::String> Names::* set;
    kj::String path;
  };
  kj::Vector<Pending> pending;
};

}  // namespace bulkhead
