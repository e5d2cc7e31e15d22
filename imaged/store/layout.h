// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async.h>
#include <kj/io.h>
#include <kj/string.h>
#include <kj/vector.h>

#include "imaged/digest.h"
#include "imaged/reference.h"
#include "imaged/store/worker.h"
#include "schemas/common.capnp.h"

namespace bulkhead {

// An OCI image layout (OCI image specification, "Image Layout"). Its files are opened, and read in
// a worker: what lies behind a descriptor of a client's may never answer.
class Layout {
 public:
  // Of a directory that is open here; no symbolic link is followed and nothing outside reached.
  explicit Layout(kj::AutoCloseFd directory);

  // Of one that somebody else opens files of.
  explicit Layout(schema::Directory::Client directory);

  // index.json, at most 4 MiB. Fails with `invalid` where the directory is no layout, `timeout`.
  kj::Promise<kj::Array<kj::byte>> index(FileWorkerProcess& files);

  // A blob's file, not looked at yet. Fails with `notFound`.
  kj::Promise<kj::AutoCloseFd> blob(Digest digest);

  // A small blob's bytes, which are the ones of its name. Fails with `digestMismatch`, `timeout`.
  kj::Promise<kj::Array<kj::byte>> document(FileWorkerProcess& files, Digest digest, size_t most);

 private:
  schema::Directory::Client directory;

  kj::Promise<kj::AutoCloseFd> open(kj::String path, FailureCode absent, kj::String why);
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
