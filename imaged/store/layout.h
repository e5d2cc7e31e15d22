// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/io.h>
#include <kj/string.h>
#include <kj/vector.h>

#include "imaged/digest.h"
#include "imaged/reference.h"

namespace bulkhead {

// An OCI image layout on disk (OCI image specification, "Image Layout"): opened, never parsed.
// Nothing outside the directory can be reached through it, and no symbolic link is followed.
class Layout {
 public:
  explicit Layout(kj::AutoCloseFd directory) : directory(kj::mv(directory)) {}

  // index.json, at most 4 MiB. Fails with `invalid` where the directory is no layout.
  kj::Array<kj::byte> index() const;

  // A blob's file. Fails with `notFound`.
  kj::AutoCloseFd blob(const Digest& digest) const;

  // A small blob's bytes, which are the ones of its name. Fails with `digestMismatch`.
  kj::Array<kj::byte> document(const Digest& digest, size_t most) const;

 private:
  kj::AutoCloseFd directory;
};

// The directories that references of the form "oci:/DIRECTORY" may lead below.
class LayoutRoots {
 public:
  // Opens them now, before the sandbox. One that does not exist is passed over: it may hold no
  // layouts on this machine.
  explicit LayoutRoots(kj::ArrayPtr<const kj::String> directories);

  // Fails with `denied` for a directory outside all of them, `notFound` for one that is not there.
  Layout open(const Reference& reference) const;

 private:
  struct Root {
    kj::String path;
    kj::AutoCloseFd directory;
  };
  kj::Vector<Root> roots;
};

}  // namespace bulkhead
