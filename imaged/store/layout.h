// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async.h>
#include <kj/io.h>
#include <kj/string.h>
#include <kj/vector.h>

#include "imaged/digest.h"
#include "imaged/reference.h"
#include "schemas/common.capnp.h"

namespace bulkhead {

// An OCI image layout (OCI image specification, "Image Layout"): its files are opened, never
// parsed.
class Layout {
 public:
  // Of a directory that is open here; no symbolic link is followed and nothing outside reached.
  explicit Layout(kj::AutoCloseFd directory);

  // Of one that somebody else opens files of.
  explicit Layout(schema::Directory::Client directory);

  // index.json, at most 4 MiB. Fails with `invalid` where the directory is no layout.
  kj::Promise<kj::Array<kj::byte>> index();

  // A blob's file. Fails with `notFound`.
  kj::Promise<kj::AutoCloseFd> blob(Digest digest);

  // A small blob's bytes, which are the ones of its name. Fails with `digestMismatch`.
  kj::Promise<kj::Array<kj::byte>> document(Digest digest, size_t most);

 private:
  schema::Directory::Client directory;
};

// The directories that references of the form "oci:/DIRECTORY" may lead below.
class LayoutRoots {
 public:
  // Opens them now, before the sandbox. One that does not exist is passed over: it may hold no
  // layouts on this machine.
  explicit LayoutRoots(kj::ArrayPtr<const kj::String> directories);

  // Those that are there.
  kj::Vector<kj::StringPtr> paths() const;

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
