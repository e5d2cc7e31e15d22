// SPDX-License-Identifier: Apache-2.0
// For tests: images as documents and blobs, and OCI layouts of them.
#pragma once

#include <kj/map.h>
#include <kj/string.h>
#include <kj/vector.h>

#include "imaged/digest.h"

namespace bulkhead::testing {

// One image and all its blobs, which a test may bend before it uses them.
class TestImage {
 public:
  enum class Compression { none, gzip, zstd };

  kj::StringPtr os = "linux";
  kj::StringPtr architecture = "amd64";
  kj::String process = kj::str("{}");                      // the configuration's "config"
  kj::String annotations = kj::str("{}");                  // the manifest's
  DigestAlgorithm layerDigests = DigestAlgorithm::sha256;  // of layers yet to be added

  TestImage& layer(kj::ArrayPtr<const kj::byte> tar, Compression compression = Compression::gzip);

  // The documents, from what is there now.
  kj::String config() const;
  kj::String manifest() const;
  Digest manifestDigest() const { return Digest::of(manifest().asBytes()); }

  // An index.json of this image only, under a tag.
  kj::String index(kj::StringPtr tag) const;

  // Everything by digest, documents included.
  kj::HashMap<kj::String, kj::Array<kj::byte>> blobs() const;

  // Writes an OCI layout into an existing, empty directory.
  void writeLayout(kj::StringPtr directory, kj::StringPtr tag) const;

 private:
  struct Layer {
    kj::Array<kj::byte> blob;
    Digest digest;
    Digest diffId;
    kj::StringPtr mediaType;
  };
  kj::Vector<Layer> layers;
};

void writeFile(kj::StringPtr path, kj::ArrayPtr<const kj::byte> bytes);
kj::Array<kj::byte> readFile(kj::StringPtr path);

// A directory that goes with the test.
class TemporaryDirectory {
 public:
  explicit TemporaryDirectory(kj::StringPtr where = "/tmp");
  ~TemporaryDirectory();
  KJ_DISALLOW_COPY_AND_MOVE(TemporaryDirectory);

  kj::StringPtr path() const { return name; }
  kj::String path(kj::StringPtr below) const { return kj::str(name, "/", below); }
  kj::String makeDirectory(kj::StringPtr below) const;

 private:
  kj::String name;
};

}  // namespace bulkhead::testing
